"""The draft of a manifest: what a model file suggests, each guess with its reason. Pure."""
