"""The dashboard: a fleet's state as web pages, drawn on this side and kept up to date over one stream a page."""
