"""Ready-made files that show a fleet in existing programs, and the code that writes them."""
