"""Gathers the sets of a job from a live sensor, from its reservoir, or from arrays."""
