"""History: one relational store, SQLite by default, PostgreSQL by one setting."""
