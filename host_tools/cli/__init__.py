"""The commands of the host, one file per command."""
