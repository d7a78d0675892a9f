"""Starts, limits, confines and watches child processes."""
