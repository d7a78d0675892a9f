"""The arithmetic of quantization and of its verdicts: affine maths, error metrics, agreement, bounds, gates.

Pure: numbers in, numbers out. No file, no clock, no randomness that is not seeded.
"""
