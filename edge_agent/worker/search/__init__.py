"""Decides which candidates are tried, in which order, and which one is chosen."""
