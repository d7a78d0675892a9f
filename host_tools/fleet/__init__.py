"""The current state of a fleet: its devices' messages, decoded and bounded, and the loop that receives them."""
