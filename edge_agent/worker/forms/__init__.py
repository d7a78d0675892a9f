"""Optimised forms: making them in another process, proving equal outputs, and comparing costs with the model file."""
