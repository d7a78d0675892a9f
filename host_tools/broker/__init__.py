"""The host's side of the broker: sessions, devices, jobs, commands, signing, purging."""
