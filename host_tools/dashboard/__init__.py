"""The dashboard: a fleet's state as server-rendered web pages, kept up to date over one stream per page."""
