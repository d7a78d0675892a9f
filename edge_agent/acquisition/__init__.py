"""Building blocks of sources: arrival times, sample counters, device locks, reconnecting, pacing."""
