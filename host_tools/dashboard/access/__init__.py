"""Who may see and do what: viewers, their roles, and the headers that hold a browser to it."""
