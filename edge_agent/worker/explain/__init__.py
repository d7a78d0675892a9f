"""Explains a result: which layers lose most and why, and what a labelled set shows."""
