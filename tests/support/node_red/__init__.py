"""Node-RED, and the flow that people import into it."""
