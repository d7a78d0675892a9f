"""Which manifests and commands are let in: signature, scope, version, limits."""
