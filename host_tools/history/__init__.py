"""What a fleet has said over time, in a database: SQLite beside the collector, or PostgreSQL."""
