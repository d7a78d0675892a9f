"""A fleet as Prometheus scrapes it."""
