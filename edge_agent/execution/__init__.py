"""The daemon's side of a stage: what its worker is asked, how it is started, how it ended."""
