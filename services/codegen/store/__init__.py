"""The only SQL of codegen: a method is named as its query in `queries.sql`."""
