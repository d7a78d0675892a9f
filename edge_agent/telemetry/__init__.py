"""The device's reports about itself over time: events, model state, machine health, serving statistics.

The messages are defined in :mod:`edge_agent.wire.telemetry`.
"""
