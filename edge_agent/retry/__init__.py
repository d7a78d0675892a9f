"""When to try again what has failed."""
