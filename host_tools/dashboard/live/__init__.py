"""What the fleet says now: heard in a thread of its own, and streamed to open pages."""
