"""All the SQL of reporting: folding outcomes, keeping reference data, and reading figures."""
