"""Sending a model: the manifest, the upload, and the wait for the result."""
