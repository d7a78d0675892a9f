"""How a release becomes active, and how it is taken back."""
