"""Advice on something missing: an extra and its install command, a permission and how to get it, disk space."""
