"""A sensor's own process: its only reader. It lets others read along, and keeps what the sensor has seen.

That is a representative sample of hours or days in a fixed space (:mod:`edge_agent.reservoir.reservoir`).
"""
