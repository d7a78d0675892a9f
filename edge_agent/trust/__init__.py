"""Signatures on manifests and commands, checked in a short-lived child."""
