"""What the device says of itself over time: events, the state of each model, the machine's health, what serving does.

The messages are defined in :mod:`edge_agent.wire.telemetry`.
"""
