"""The gain of int8 over float on this device in time, size and memory, and whether it justifies a change. Pure.

A gain is a fraction of float's value: 0.3 is 30 % less. The gain in time is the proved one, one minus the upper bound
of the ratio, so that luck does not count. One axis that reaches its limit is enough.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from edge_agent.jobs.digits import apart
from edge_agent.jobs.result import GateResult
from edge_agent.quant.findings import GateFinding
from edge_agent.wire.manifest import MinGain

GATE = "min_gain"
Axis = Literal["time", "size", "memory"]
AXES: tuple[Axis, ...] = get_args(Axis)
_MORE = {"time": "faster", "size": "smaller", "memory": "lighter in memory"}
_LESS = {"time": "slower", "size": "larger", "memory": "heavier in memory"}
_NOTHING = 0.0005
"""Gains below a tenth of a percent are reported as none."""
_WHOLE = 10
"""From this value on percentages have no decimals."""
_LEAST_LIMIT = 0.01
"""Smallest limit that is suggested: a smaller gain is chance."""
_ROOM = 0.9
"""A suggested limit is this part of the gain, so that the next measurement meets it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """The gain of int8 by axis: a fraction of float's value, negative where int8 is worse; None: not known (yet)."""

    time: float | None = None
    size: float | None = None
    memory: float | None = None


def gains(
    *, time_ratio: float | None = None, size_ratio: float | None = None, memory_ratio: float | None = None
) -> Gain:
    """The gains for ratios of int8 to float; None for an unknown ratio, or an infinite one, which has no evidence."""
    return Gain(time=_gain(time_ratio), size=_gain(size_ratio), memory=_gain(memory_ratio))


def meets(gain: Gain, asked: MinGain) -> bool:
    """Whether the known gains are enough: one axis with a limit reaches it, or no axis has a limit.

    An unknown gain is never enough. So a candidate that :func:`meets` without memory does not need memory's gain.
    """
    counted = list(_counted(gain, asked))
    return not any(getattr(asked, axis) for axis in AXES) or any(value >= limit for _, limit, value in counted)


def gain_findings(gain: Gain, asked: MinGain, *, final: bool = False) -> tuple[GateFinding, ...]:
    """The gate's findings: the axes that meet it, or if none does, all axes with a limit as failed.

    Empty without a gate, and while an unknown axis may still decide. With ``final`` an unknown gain stays unknown, and
    counts as none.
    """
    results = [
        GateResult(GATE, limit, value, passed=value >= limit, axis=axis) for axis, limit, value in _counted(gain, asked)
    ]
    met = [result for result in results if result.passed]
    unknown = [axis for axis in AXES if getattr(asked, axis) and getattr(gain, axis) is None]
    if final:
        results += [GateResult(GATE, getattr(asked, axis), None, passed=False, axis=axis) for axis in unknown]
    if met or (unknown and not final) or not results:
        return tuple(GateFinding(result, "", "") for result in met)
    message = no_gain(results)
    return tuple(GateFinding(result, "no_gain", message) for result in results)


def no_gain(results: Iterable[GateResult]) -> str:
    """The sentence for a missing gain, from the gate's results of one candidate, or the best of several by axis."""
    best = {one.axis: one for one in sorted(results, key=lambda one: one.value or 0.0) if one.name == GATE}
    shown = [best[axis] for axis in AXES if axis in best]
    gained = _listed([_words(one) for one in shown], "and")
    asked = _listed([f"{100 * (one.limit or 0.0):g} %" for one in shown], "or")
    return f"int8 would be {gained} here, and {asked} is asked for: keep float; [gates] {_allowing(shown)} allows it"


def _gain(ratio: float | None) -> float | None:
    return None if ratio is None or not math.isfinite(ratio) else 1.0 - ratio


def _counted(gain: Gain, asked: MinGain) -> Iterator[tuple[Axis, float, float]]:
    """Axis, limit and gain of each axis that has a limit and a known gain."""
    for axis in AXES:
        limit, value = getattr(asked, axis), getattr(gain, axis)
        if limit and value is not None:
            yield axis, limit, value


def _words(one: GateResult) -> str:
    value, limit = one.value, one.limit or 0.0
    if value is None:
        return f"not measurably {_MORE[one.axis]}"
    if abs(value) < _NOTHING:
        return f"no {_MORE[one.axis]}"
    if value < 0:
        bound, loss = "up to " if one.axis == "time" else "", -100 * value
        return f"{bound}{loss:.{0 if loss >= _WHOLE else 1}f} % {_LESS[one.axis]}"
    return f"{apart(100 * value, 100 * limit)[0]} % {_MORE[one.axis]}"


def _allowing(results: Sequence[GateResult]) -> str:
    """The setting that accepts the gain: the nearest limit lowered, or no gate where nothing was gained."""
    limits: dict[Axis | Literal[""], float] = dict.fromkeys(AXES, 0.0)
    gained = [one for one in results if _lowered(one) >= _LEAST_LIMIT]
    if gained:
        nearest = max(gained, key=lambda one: (one.value or 0.0) / (one.limit or 1.0))
        limits |= {one.axis: one.limit or 0.0 for one in results} | {nearest.axis: _lowered(nearest)}
    return f"min_gain = {{ {', '.join(f'{axis} = {limit:g}' for axis, limit in limits.items())} }}"


def _lowered(one: GateResult) -> float:
    """A limit that this gain reaches."""
    return math.floor(100 * _ROOM * (one.value or 0.0)) / 100


def _listed(parts: Sequence[str], word: str) -> str:
    *before, last = parts
    return f"{', '.join(before)} {word} {last}" if before else last
