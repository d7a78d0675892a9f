"""Simulated devices: a fleet that says on the broker what real devices would, without their work."""
