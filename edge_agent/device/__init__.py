"""This machine: board, Python interpreter, memory."""
