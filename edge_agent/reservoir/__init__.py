"""A bounded sample of all data of a sensor, stored on disk."""
