"""Which layers lose most, why, and what a labelled set shows."""
