"""Quality checks of the three sets: channels, balance, overlap."""
