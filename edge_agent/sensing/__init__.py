"""What a sensor has seen: a representative sample of hours or days in a fixed space, kept while others read it."""
