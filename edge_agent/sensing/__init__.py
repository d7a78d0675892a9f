"""A sensor's own process: its only reader, which keeps a sample of what it has seen and lets others read along."""
