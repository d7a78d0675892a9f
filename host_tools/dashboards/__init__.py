"""What shows a fleet in programs that people have already: ready-made files, and what writes them."""
