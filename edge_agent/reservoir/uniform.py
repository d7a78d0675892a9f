"""A uniform sample of a stream in a fixed number of places, with slow forgetting. Pure.

Algorithm R (Vitter 1985): once all places are taken, the n-th element is taken with probability places/n and replaces
one drawn at random. Here n is a decaying weight: W_n = 1 + d * W_(n-1) with d a little below 1. After n elements,
element i is in the sample with probability places/W_i * prod(1 - 1/W_j) over j = i+1 ... n, since each later one
replaces it with probability places/W_j * 1/places. 1 - 1/W_j is d * W_(j-1) / W_j, so the product telescopes to
d^(n-i) * W_i / W_n and the whole to d^(n-i) * places/W_n. That is exactly proportional to d^age (Aggarwal 2006 calls it
a biased reservoir; d = 1 is uniform). The mean age of the sample settles at 1/(1-d) elements. The decay costs one
number. Without it, data from before a sensor was moved would never leave the sample.

All of this holds while W >= places. W never exceeds 1/(1-d). So with a horizon below ``places`` (a stream that the
write budget thins to less than a sample in a horizon) every element is taken and replaces one drawn at random. Then the
probability is (1 - 1/places)^age, and the mean age settles at ``places`` elements instead. That is a longer memory than
requested, but still fair, since the probability depends only on age. With a longer horizon the same is true of the few
elements after the first ``places``, as W lags behind their number.
"""

import math
from random import Random


class Uniform:
    """Chooses which of ``places`` a new element takes, if any."""

    def __init__(self, places: int, horizon: float) -> None:
        """Let the weight decay so that the mean age settles at ``horizon`` elements; infinite: no decay."""
        self.places = places
        self.weight = 0.0
        """Number of offered elements, older ones counting less."""
        self._decay = math.exp(-1 / horizon)
        self._taken = bytearray(places)
        self.kept = 0
        """Number of occupied places."""
        self._lowest = 0
        """No place below this one is free; places are never given up."""

    def occupy(self, place: int) -> None:
        """Mark a place as occupied."""
        self.kept += not self._taken[place]
        self._taken[place] = True

    def choose(self, random: Random) -> int | None:
        """Count one more element, and return the place for it, or None."""
        self.weight = 1.0 + self._decay * self.weight
        if self.kept < self.places:
            while self._taken[self._lowest]:
                self._lowest += 1
            return self._lowest
        if random.random() * self.weight < self.places:
            return random.randrange(self.places)
        return None
