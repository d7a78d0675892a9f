"""The daemon's side of a stage: the worker's task, its start and its end."""
