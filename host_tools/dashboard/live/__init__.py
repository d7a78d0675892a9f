"""The current state of the fleet: received in a thread of its own, and streamed to open pages."""
