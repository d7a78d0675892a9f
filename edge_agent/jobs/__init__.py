"""A job as plain values: states, task, result, report. Pure."""
