"""A sensor's samples as a PNG: one strip per channel, from the smallest to the largest sample in each pixel column.

Needs Pillow, from the extra ``plot``: drawing legible text is not worth code of our own.
"""

import io
import textwrap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_WIDTH, _STRIP, _GAP = 1120, 108, 22
_LEFT, _RIGHT, _TOP, _BOTTOM = 132, 28, 92, 56
_SHARP = 2
"""The picture is drawn this many times as large and scaled down, so that lines are smooth."""
_PAPER, _INK, _FAINT, _GRID, _FRAME = "#ffffff", "#1f2933", "#7b8794", "#e4e7eb", "#cbd2d9"
_COLOURS = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#db2777", "#0891b2")
_WARNING = "#b91c1c"
_MOST_STRIPS = 24
_MARGIN = 0.06
_NOTE_LETTERS = 130


def look_picture(
    title: str,
    subtitle: str,
    channels: Sequence[str],
    samples: NDArray[np.float32],
    *,
    seconds: float,
    notes: Sequence[str],
) -> bytes:
    """The PNG.

    Args:
        title: the title, in large letters.
        subtitle: the line below the title.
        channels: names of the strips; at most 24 are drawn.
        samples: ``[n, channels]``; values that are not finite are left out.
        seconds: the duration that the whole width shows.
        notes: sentences below the strips.
    """
    drawn = min(len(channels), _MOST_STRIPS)
    lines = [line for note in notes for line in textwrap.wrap(note, _NOTE_LETTERS)]
    height = _TOP + drawn * (_STRIP + _GAP) + _BOTTOM + 24 * len(lines)
    image = Image.new("RGB", (_WIDTH * _SHARP, height * _SHARP), _PAPER)
    pen = _Pen(ImageDraw.Draw(image))
    pen.text(28, 22, title, 24, _INK)
    pen.text(28, 56, subtitle, 15, _FAINT)
    for place in range(drawn):
        top = _TOP + place * (_STRIP + _GAP)
        _strip(pen, top, channels[place], samples[:, place], _COLOURS[place % len(_COLOURS)])
    bottom = _TOP + drawn * (_STRIP + _GAP) - _GAP
    _time_axis(pen, bottom, seconds)
    for line, note in enumerate(lines):
        pen.text(28, bottom + _BOTTOM + 24 * line - 8, note, 15, _WARNING)
    small = image.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    small.save(packed, "PNG", optimize=True)
    return packed.getvalue()


class _Pen:
    """Draws in the coordinates of the final picture."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw

    def text(self, x: float, y: float, text: str, size: int, colour: str, anchor: str = "la") -> None:
        font = ImageFont.load_default(size * _SHARP)
        self._draw.text((x * _SHARP, y * _SHARP), text, fill=colour, font=font, anchor=anchor)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 1) -> None:
        scaled = [(x * _SHARP, y * _SHARP) for x, y in points]
        self._draw.line(scaled, fill=colour, width=round(width * _SHARP), joint="curve")

    def box(self, left: float, top: float, right: float, bottom: float, outline: str) -> None:
        self._draw.rectangle([edge * _SHARP for edge in (left, top, right, bottom)], outline=outline, width=_SHARP)


def _strip(pen: _Pen, top: float, name: str, column: NDArray[np.float32], colour: str) -> None:
    right, bottom = _WIDTH - _RIGHT, top + _STRIP
    finite = column[np.isfinite(column)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    margin = (high - low or abs(high) or 1.0) * _MARGIN

    def y(value: float) -> float:
        return bottom - (value - low + margin) / (high - low + 2 * margin) * _STRIP

    for tick in {low, (low + high) / 2, high}:
        pen.line([(_LEFT, y(tick)), (right, y(tick))], _GRID)
        pen.text(_LEFT - 10, y(tick), f"{tick:.3g}", 13, _FAINT, "rm")
    pen.text(28, top + _STRIP / 2, name, 16, colour, "lm")
    width = right - _LEFT
    edges = np.linspace(0, len(column), min(width, len(column)) + 1).astype(int)
    points = []
    for place, (start, stop) in enumerate(pairwise(edges)):
        part = column[start:stop]
        part = part[np.isfinite(part)]
        if part.size:
            x = _LEFT + (place + 0.5) * width / (len(edges) - 1)
            points += [(x, y(float(part.min()))), (x, y(float(part.max())))]
    if points:
        pen.line(points, colour, 1)
    pen.box(_LEFT, top, right, bottom, _FRAME)


def _time_axis(pen: _Pen, bottom: float, seconds: float) -> None:
    width = _WIDTH - _RIGHT - _LEFT
    step = _round_step(seconds / 8)
    for number in range(int(seconds / step + 1e-9) + 1):
        x = _LEFT + number * step / seconds * width
        pen.line([(x, bottom), (x, bottom + 5)], _FAINT)
        pen.text(x, bottom + 9, f"{number * step:g} s", 13, _FAINT, "ma")


def _round_step(about: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is not below ``about``."""
    power = 10.0 ** np.floor(np.log10(max(about, 1e-9)))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= about * (1 - 1e-9)))
