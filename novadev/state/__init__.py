"""novadev's own records: a database of its own, SQLite by default, schema by Alembic."""
