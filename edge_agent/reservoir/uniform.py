"""A uniform sample of a stream in a fixed number of places, that slowly forgets. Pure.

Algorithm R (Vitter 1985): once all places are taken, the n-th element is taken with probability places/n and replaces
one drawn at random. Here n is a weight that forgets: W_n = 1 + d * W_(n-1) with d a little below 1. Element i is in the
sample after n elements with probability places/W_i * prod(1 - 1/W_j) over j = i+1 ... n, as each later one replaces it
with probability places/W_j * 1/places. 1 - 1/W_j is d * W_(j-1) / W_j, so the product telescopes to d^(n-i) * W_i / W_n
and the whole to d^(n-i) * places/W_n: exactly proportional to d^age (Aggarwal 2006 calls it a biased reservoir; d = 1
is uniform). The mean age of what is kept settles at 1/(1-d) elements. It costs one number, and nothing else would ever
let go of what a sensor saw before it was mounted elsewhere.

All that holds while W >= places. W never exceeds 1/(1-d), so with a horizon below ``places`` (a stream that the write
budget thins to less than a sample in a horizon) every element is taken and replaces one drawn at random: chances fall
as (1 - 1/places)^age, and the mean age settles at ``places`` elements instead. That is a longer memory than was asked
for, and fair all the same, as the chance is a function of age alone. With a longer horizon the same goes for the few
elements after the first ``places``, as W lags behind their number.
"""

import math
from random import Random


class Uniform:
    """Says which of ``places`` a new element takes, if any."""

    def __init__(self, places: int, horizon: float) -> None:
        """Forget so that the mean age becomes ``horizon`` elements; infinite: never."""
        self.places = places
        self.weight = 0.0
        """How many elements have been offered, older ones counting less."""
        self._decay = math.exp(-1 / horizon)
        self._taken = bytearray(places)
        self.kept = 0
        """Places that are taken."""
        self._lowest = 0
        """No place below is free, as none is ever given back."""

    def occupy(self, place: int) -> None:
        """Say that a place is taken."""
        self.kept += not self._taken[place]
        self._taken[place] = True

    def choose(self, random: Random) -> int | None:
        """Count one more element; the place that it is to take, or None."""
        self.weight = 1.0 + self._decay * self.weight
        if self.kept < self.places:
            while self._taken[self._lowest]:
                self._lowest += 1
            return self._lowest
        if random.random() * self.weight < self.places:
            return random.randrange(self.places)
        return None
