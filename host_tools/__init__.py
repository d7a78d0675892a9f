"""The host's tools: push-model and the commands of host-tools."""
