"""The sets on disk, read window by window."""
