"""Progress and results for people."""
