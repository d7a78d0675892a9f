"""What the daemon keeps on disk: jobs, releases, time. Every write survives a power cut."""
