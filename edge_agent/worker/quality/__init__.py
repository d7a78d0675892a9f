"""Whether the sets are fit to judge by: channels, balance, overlap."""
