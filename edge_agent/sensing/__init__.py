"""The process of a shared sensor: its only reader. It passes the samples on to other readers and stores some of them.

The stored samples represent hours or days in a fixed space (:mod:`edge_agent.reservoir.reservoir`).
"""
