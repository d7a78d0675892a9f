"""Sending a model: the manifest, the upload, the wait for what becomes of it."""
