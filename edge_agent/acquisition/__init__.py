"""What sources are made of: arrival times, sample counters, locks on devices, reconnecting, pacing."""
