"""A bounded sample of all that a sensor has sent, kept on disk."""
