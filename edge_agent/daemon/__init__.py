"""The daemon: handles what arrives, runs the jobs, publishes their state. Imports neither numpy nor a runtime."""
