"""Measurements over time: in memory, or in the database of ``host-tools collect``."""
