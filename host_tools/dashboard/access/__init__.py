"""Access control of the dashboard: passwords, sessions, forged requests, headers."""
