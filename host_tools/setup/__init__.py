"""The first steps of a host: the operator's file, and the operator's account at the broker."""
