"""What float says of windows, for each kind of output: numbers from a seed; in given windows a rare class or regime.

Each function gives ``[n, ...]``, the outputs before the model's last step. In windows that are ``rare`` float says the
rare class (the last one), or is in a regime of its own; in the others it never does. ``scaled``: channels form two
groups whose scales differ a hundredfold, and what the small group says matters as much as the other.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from verdicts.case import Array

Random = np.random.Generator
Signal = Callable[[Random, Array, bool], Array]
SCALE = 100.0
CLASSES, SYMBOLS, STEPS, PIXELS, BOXES, CELLS = 5, 6, 10, 8, 6, 40
FRAME = 320.0


def classes(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001  # one signature for all kinds
    """Logits of five classes; scaled: classes 2 to 4 are told apart by numbers a hundredth of the others'."""
    n = len(rare)
    if not scaled:
        truth = np.where(rare, CLASSES - 1, random.integers(0, CLASSES - 1, n))
        return random.normal(0, 0.3, (n, CLASSES)) + 6.0 * np.eye(CLASSES)[truth]
    truth = np.where(rare, 2 + np.cumsum(rare) % 3, random.integers(0, 2, n))
    small = np.where(np.eye(CLASSES)[truth] > 0, 1.0, -1.0) + random.normal(0, 0.1, (n, CLASSES))
    large = np.where(np.eye(CLASSES)[truth] > 0, SCALE, -SCALE) + random.normal(0, 5, (n, CLASSES))
    return np.where(np.arange(CLASSES) < 2, large, small)


def binary(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001
    """One logit; scaled: four, of which the last two are small, yes in all but the rare windows."""
    n = len(rare)
    if not scaled:
        yes = rare if rare.any() else random.random(n) < 0.4
        return (np.where(yes, 4.0, -4.0) + random.normal(0, 0.3, n))[:, None]
    large = SCALE * np.where(random.random((n, 2)) < 0.5, 1.0, -1.0)
    small = np.where(rare[:, None], -1.0, 1.0) + random.normal(0, 0.1, (n, 2))
    return np.concatenate([large, small], axis=1)


def regression(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001
    """Four estimates."""
    return _numbers(random, rare, (4,), scaled=scaled)


def embedding(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001
    """A vector of sixteen."""
    return _numbers(random, rare, (16,), scaled=scaled)


def raw(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001
    """Sixteen channels at eight places, channels last."""
    return _numbers(random, rare, (8, 16), scaled=scaled)


def anomaly(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001
    """One score, threshold 2; scaled: sixteen samples of two channels, which the model gives back."""
    n = len(rare)
    if not scaled:
        strange = rare if rare.any() else marks_of(random, n)
        usual = np.minimum(np.abs(random.normal(0, 0.4, n)), 1.4)
        return np.where(strange, 3.0 + usual / 4, usual)[:, None]
    values = random.normal(0, 1, (n, 16, 2)) * [SCALE, 1.0]
    values[rare, :, 1] *= 5.0
    return values


def detection(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001  # its columns always are
    """A table of six boxes in pixels, one to three of them with a score of 0.9; a rare window has one, of class 2."""
    n = len(rare)
    table = np.zeros((n, BOXES, 6))
    low = random.uniform(0, 240, (n, BOXES, 2))
    table[..., 0:2], table[..., 2:4] = low, low + random.uniform(30, 80, (n, BOXES, 2))
    count = np.where(rare, 1, random.integers(1, 4, n))
    table[..., 4] = np.where(np.arange(BOXES) < count[:, None], 0.9, 0.1)
    table[..., 5] = np.where(rare[:, None], 2, random.integers(0, 2, (n, BOXES)))
    return table


def mask(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001
    """Logits of three classes a pixel: background, and a rectangle of class 1, or of class 2 where that is rare."""
    n = len(rare)
    images = random.normal(0, 0.1, (n, 3, PIXELS, PIXELS))
    images[:, 1:] -= 2.0 * (SCALE if scaled else 1.0)
    for image, other in zip(images, rare, strict=True):
        top, left = random.integers(0, PIXELS - 4, 2)
        channel = 2 if other else 1
        image[channel, top : top + 4, left : left + 4] = 1.0 if other or not scaled else SCALE
    return images


def sequence(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001
    """Logits of a blank and five symbols at ten steps; the last symbol is read in rare windows only, once."""
    n = len(rare)
    symbols = random.integers(0, SYMBOLS - 1, (n, STEPS))
    symbols[rare, STEPS // 2] = SYMBOLS - 1
    chosen = np.eye(SYMBOLS)[symbols] > 0
    noise = random.normal(0, 0.1, chosen.shape)
    if not scaled:
        return np.where(chosen, 6.0, 0.0) + noise
    small = np.arange(SYMBOLS) == SYMBOLS - 1
    return np.where(chosen, np.where(small, 1.0, SCALE), np.where(small, -SCALE, 0.0)) + noise


def detection_head(random: Random, rare: Array, scaled: bool) -> Array:  # noqa: FBT001  # its rows always are
    """``[4 + 3, 40]``: centre and size in pixels, and a score a class; two objects a window, of class 2 if rare."""
    n = len(rare)
    head = np.empty((n, 7, CELLS))
    head[:, 0:2] = random.uniform(40, FRAME - 40, (n, 2, CELLS))
    head[:, 2:4] = random.uniform(20, 60, (n, 2, CELLS))
    head[:, 4:] = random.uniform(0.001, 0.03, (n, 3, CELLS))
    for window, other in zip(head, rare, strict=True):
        for place, corner in zip(random.choice(CELLS, 2, replace=False), (80.0, 240.0), strict=True):
            window[0:2, place] = corner
            window[4 + (2 if other else random.integers(0, 2)), place] = 0.9
    return head


def marks_of(random: Random, count: int) -> Array:
    """One window in ten, at random."""
    marked = np.zeros(count, bool)
    marked[random.permutation(count)[: count // 10]] = True
    return marked


def _numbers(random: Random, rare: Array, shape: tuple[int, ...], *, scaled: bool) -> Array:
    """Numbers around zero, four times as far from it in the rare windows; the second half of columns is small."""
    values = random.normal(0, 1, (len(rare), *shape))
    values[rare] *= 4.0
    if scaled:
        values[..., : shape[-1] // 2] *= SCALE
    return values


SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {
        "classes": classes,
        "binary": binary,
        "regression": regression,
        "embedding": embedding,
        "anomaly": anomaly,
        "detection": detection,
        "mask": mask,
        "sequence": sequence,
        "raw": raw,
        "detection_head": detection_head,
    }
)
