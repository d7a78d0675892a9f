"""How much of the room of a window's boxes int8's error has used up. Pure.

What int8 does to a box moves its corners and its score. Corners have room until the overlap of the pair is the least
one, scores until the box, or a new one, would count where its partner does not (:mod:`.match`). Were the error twice as
large, twice as much of the room would be used, so the window where most of it is used is the first to disagree.

Of a pair the scarcer room counts, of a box its best pair, of a window its worst box. Two boxes that have one partner
between them are not seen here: such a window disagrees already.
"""

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.detection import CLASS, SCORE
from edge_agent.quant.detection.match import overlaps

Floats = NDArray[np.float64]

_WEAK = 0.25
"""Of the threshold: boxes that score less have little to do with one that counts."""
_STRANGER = -1.0
"""Less than any overlap: boxes of different classes are no pair."""


def worth_a_look(detections: Floats, threshold: float) -> Floats:
    """The detections ``[N, 6]`` that count or may come to count; if there is none, the strongest."""
    scores = detections[:, SCORE]
    near = detections[scores >= threshold - abs(threshold) * (1.0 - _WEAK)]
    return near if len(near) else detections[np.argsort(-scores, kind="stable")[:1]]


def used_up(reference: Floats, target: Floats, threshold: float, least_overlap: float, slack: float = 0.0) -> float:
    """How much of the room is used where it is scarcest: 0, nothing has moved; more than 1, the window disagrees.

    Args:
        reference: float's detections ``[N, 6]`` that are :func:`worth_a_look`.
        target: int8's.
        threshold: the least score that counts.
        least_overlap: the least intersection over union of the same box.
        slack: how much weaker than the box a partner below the threshold may be.
    """
    same = reference[:, None, CLASS] == target[None, :, CLASS]
    moved = _share(1.0 - np.where(same, overlaps(reference, target), _STRANGER), 1.0 - least_overlap)
    wanted, got = reference[:, SCORE, None], target[None, :, SCORE]
    strong = wanted >= threshold
    fallen = _share(wanted - got, wanted - np.minimum(threshold, wanted - slack))
    risen = _share(got - wanted, np.maximum(threshold, wanted + slack) - wanted)
    lost = np.maximum(moved, fallen)[strong[:, 0]].min(axis=1, initial=np.inf)
    new = np.where(strong | (moved > 1.0), moved, risen).min(axis=0, initial=np.inf)
    if threshold > 0.0:  # what float has nowhere has come all the way from nothing
        new = np.minimum(new, got[0] / threshold)
    return float(np.concatenate([lost, new]).max(initial=0.0))


def _share(used: Floats, room: Floats | float) -> Floats:
    """What part of ``room`` is used; infinite of no room, unless nothing is used."""
    some, rooms = np.maximum(used, 0.0), np.broadcast_to(room, np.shape(used))
    share: Floats = np.divide(some, rooms, out=np.where(some > 0.0, np.inf, 0.0), where=rooms > 0.0)
    return share
