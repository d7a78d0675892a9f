"""Delays between attempts at an operation that fails."""
