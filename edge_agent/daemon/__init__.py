"""The daemon: what comes in, what becomes of each job, what is published. No numpy, no runtime."""
