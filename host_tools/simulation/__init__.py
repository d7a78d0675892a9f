"""Simulated devices: a fleet that publishes the messages of real devices without doing their work."""
