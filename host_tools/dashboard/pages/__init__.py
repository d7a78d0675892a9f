"""One file per page: its routes, and its content as a pure function of the fleet's state."""
