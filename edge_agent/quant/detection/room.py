"""How much of the room of a window's boxes int8's error has used up. Pure.

int8 moves a box's corners and its score. Corners have room until the pair's overlap falls to the least one. Scores have
room until the box, or a new one, counts where its partner does not (:mod:`.match`). Twice the error would use twice as
much of the room, so the window that has used the most is the first to disagree.

A pair counts by its scarcer room, a box by its best pair, a window by its worst box. Two boxes that share one partner
are not detected here: such a window disagrees already.
"""

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.detection import CLASS, SCORE
from edge_agent.quant.detection.match import overlaps

Floats = NDArray[np.float64]

_WEAK = 0.25
"""Share of the threshold below which a box's score has little influence on the boxes that count."""
_STRANGER = -1.0
"""Lower than any overlap: boxes of different classes never pair."""


def worth_a_look(detections: Floats, threshold: float) -> Floats:
    """The detections ``[N, 6]`` that count or nearly count; if there are none, the strongest one."""
    scores = detections[:, SCORE]
    near = detections[scores >= threshold - abs(threshold) * (1.0 - _WEAK)]
    return near if len(near) else detections[np.argsort(-scores, kind="stable")[:1]]


def used_up(reference: Floats, target: Floats, threshold: float, least_overlap: float, slack: float = 0.0) -> float:
    """The used share of the room where it is scarcest: 0 if nothing has moved, above 1 if the window disagrees.

    Args:
        reference: float's detections ``[N, 6]`` that are :func:`worth_a_look`.
        target: int8's detections.
        threshold: the least score that counts.
        least_overlap: the least intersection over union of matching boxes.
        slack: how much lower than the box a partner below the threshold may score.
    """
    same = reference[:, None, CLASS] == target[None, :, CLASS]
    moved = _share(1.0 - np.where(same, overlaps(reference, target), _STRANGER), 1.0 - least_overlap)
    wanted, got = reference[:, SCORE, None], target[None, :, SCORE]
    strong = wanted >= threshold
    fallen = _share(wanted - got, wanted - np.minimum(threshold, wanted - slack))
    risen = _share(got - wanted, np.maximum(threshold, wanted + slack) - wanted)
    lost = np.maximum(moved, fallen)[strong[:, 0]].min(axis=1, initial=np.inf)
    new = np.where(strong | (moved > 1.0), moved, risen).min(axis=0, initial=np.inf)
    if threshold > 0.0:  # a box that float has nowhere has come from a score of 0
        new = np.minimum(new, got[0] / threshold)
    return float(np.concatenate([lost, new]).max(initial=0.0))


def _share(used: Floats, room: Floats | float) -> Floats:
    """The used share of ``room``; infinite without room, unless nothing is used."""
    some, rooms = np.maximum(used, 0.0), np.broadcast_to(room, np.shape(used))
    share: Floats = np.divide(some, rooms, out=np.where(some > 0.0, np.inf, 0.0), where=rooms > 0.0)
    return share
