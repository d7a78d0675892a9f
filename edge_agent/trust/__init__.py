"""Signatures on manifests and commands, verified in a short-lived child."""
