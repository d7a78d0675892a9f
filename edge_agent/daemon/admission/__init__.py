"""Decides which manifests and commands are accepted: signature, scope, version, limits."""
