"""One file a page: its routes, and what it shows as a pure function of the fleet's state."""
