"""Mean average precision against what pycocotools gives for the same boxes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent.quant.detection.average_precision import AveragePrecision

Floats = NDArray[np.float64]
BY_PYCOCOTOOLS = {
    (0, 1.0): (0.555826266, 0.633226839),
    (0, 5.0): (0.230437206, 0.553595295),
    (0, 12.0): (0.026575997, 0.117462052),
    (1, 1.0): (0.611232076, 0.692768246),
    (1, 5.0): (0.264196493, 0.644425390),
    (1, 12.0): (0.047127204, 0.189699737),
    (2, 1.0): (0.635598697, 0.717507363),
    (2, 5.0): (0.269969924, 0.650474741),
    (2, 12.0): (0.043183575, 0.183999066),
}
"""(seed, how far boxes are off in pixels) → AP over 0.5 to 0.95 and AP at 0.5 of pycocotools 2.0.11 for `windows`."""


def windows(seed: int, off: float) -> list[tuple[Floats, Floats]]:
    """Labels ``[M, 5]`` and detections ``[N, 6]`` of 40 windows: some missed, some made up, some of another class."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(40):
        count = random.integers(0, 6)
        corner = random.uniform(0, 200, (count, 2))
        boxes = np.hstack([corner, corner + random.uniform(20, 80, (count, 2))])
        labels = np.column_stack([boxes, random.integers(0, 4, count)])
        kept = labels[random.uniform(size=count) < 0.85]
        near = kept[:, :4] + random.normal(0, off, (len(kept), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        classes = np.where(random.uniform(size=len(kept)) < 0.1, 3 - kept[:, 4], kept[:, 4])
        extra = random.integers(0, 4)
        wrong = random.uniform(0, 200, (extra, 2))
        others = np.column_stack([wrong, wrong + 40, random.uniform(0, 0.7, extra), random.integers(0, 4, extra)])
        found = np.column_stack([near, random.uniform(0.3, 1, len(kept)), classes])
        made.append((labels, np.vstack([found, others])))
    return made


def measured(seen: list[tuple[Floats, Floats]]) -> AveragePrecision:
    precision = AveragePrecision()
    for labels, detections in seen:
        precision.add(labels, detections)
    return precision


@pytest.mark.parametrize(("seed", "off"), BY_PYCOCOTOOLS)
def test_it_is_pycocotools(seed: int, off: float) -> None:
    precision = measured(windows(seed, off))

    assert (precision.mean(), precision.at(0.5)) == pytest.approx(BY_PYCOCOTOOLS[seed, off], abs=1e-8)


def test_labels_that_are_all_found_are_one_and_none_found_zero() -> None:
    labels = np.array([[0, 0, 10, 10, 1], [20, 20, 40, 40, 2]], np.float64)
    found = np.insert(labels, 4, 0.9, axis=1)

    assert measured([(labels, found)]).mean() == pytest.approx(1.0)
    assert measured([(labels, found[:0])]).mean() == 0.0
    assert measured([(labels[:0], found)]).mean() is None
    assert AveragePrecision().at(0.5) is None
