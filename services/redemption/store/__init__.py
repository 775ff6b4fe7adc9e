"""The ledger in Postgres: the only SQL of this service."""
