"""The fleet as metrics for Prometheus."""
