"""Sets on disk, read window by window."""
