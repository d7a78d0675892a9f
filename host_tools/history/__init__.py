"""A fleet's messages over time in a database: SQLite on the collector's machine, or PostgreSQL."""
