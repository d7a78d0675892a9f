"""Units of measurement, in headers and after numbers. Pure."""

import re
from typing import NamedTuple

_BASES = (
    "s|sec|ms|[uµμ]s|ns|min|h|[kM]?Hz|rpm|bpm"
    "|m|[cmk]m|[uµμ]m|nm|[mkuµμ]?g|gal|N"
    "|K|C|F|°C|°F|deg[CF]|%|pct|ppm|ppb|[hkM]?Pa|m?bar|psi"
    "|[muµμ]?[VAW]|[muµμn]?T|gauss|Gs|ohm|Ω|lx|lux|cd|dB|dBA|dBm|J"
    "|deg|°|dps|m?rad|counts?|LSB|raw"
)
_UNIT = re.compile(rf"(?:{_BASES})\^?-?[123²³]?", re.IGNORECASE)
_NAMED = re.compile(r"(?P<name>.*[^\s_])[\s_]*(?:\[(?P<square>[^\]]*)\]|\((?P<round>[^)]*)\))")
_NUMBER = re.compile(r"\s*[-+]?\d[\d.,]*(?:[eE][-+]?\d+)?\s*", re.ASCII)
_EMPTY = ("", "-", "--", "1")


class Named(NamedTuple):
    """The name of a column, and its unit; empty if the header has none."""

    name: str
    unit: str


def named(header: str) -> Named:
    """Split ``ax [m/s²]`` or ``ax (m/s²)`` into name and unit; round brackets must contain a known unit."""
    found = _NAMED.fullmatch(header)
    if found is None:
        return Named(header, "")
    if found["square"] is not None:
        return Named(found["name"], found["square"].strip())
    unit = found["round"].strip()
    return Named(found["name"], unit) if is_unit(unit) else Named(header, "")


def is_quantity(text: str) -> bool:
    """Return whether ``text`` is a number with its unit, such as ``21.5 °C`` or ``40 %``."""
    found = _NUMBER.match(text)
    return found is not None and is_unit(text[found.end() :])


def is_unit(text: str) -> bool:
    """Return whether ``text`` is a unit such as ``g``, ``m/s^2`` or ``[°/s]``."""
    if (text[:1], text[-1:]) in (("[", "]"), ("(", ")")):
        text = text[1:-1]
    return all(_UNIT.fullmatch(part.strip()) for part in re.split(r"[/·*⋅]", text.strip().replace("**", "^")))


def are_units(fields: list[str]) -> bool:
    """Return whether a row contains the units of its columns."""
    return any(is_unit(field) for field in fields) and all(field in _EMPTY or is_unit(field) for field in fields)
