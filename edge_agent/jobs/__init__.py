"""A job as values: its states, its task, its result, its report. Pure."""
