"""The daemon's state on disk: jobs, releases, time. Every write survives a power cut."""
