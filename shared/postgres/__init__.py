"""Postgres, the same way everywhere: pools, named queries, migrations, and which errors are worth another try."""
