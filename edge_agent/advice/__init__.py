"""What a person can do about what is missing: the extra and its command, the permission and how to get it."""
