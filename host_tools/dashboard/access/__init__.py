"""Who may see the page, and who may command: passwords, sessions, forged requests, headers."""
