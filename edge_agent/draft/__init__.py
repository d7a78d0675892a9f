"""Drafts a manifest from a model file, with a reason for each guess. Pure."""
