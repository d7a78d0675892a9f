"""Latency and memory, each in a fresh process, on the runtimes that work here."""
