"""The dialects in which firmware prints a sample on a line, converted to comma-separated decimals. Pure.

* commas, also with one after the last: ``1.5,-2,3,``
* semicolons or tabs, also with decimal commas: ``1,5;-2;3``
* blanks: ``1.5  -2 3``
* brackets around the numbers, as Python prints them: ``(1.5, -2, 3)``, ``[1.5, -2, 3]``
* labels, as for Arduino's plotter, in any order: ``ay:-2,ax:1.5``, ``ax: 1.5  ay: -2``, ``ax=1.5 ay=-2``
"""

import re
from collections.abc import Callable, Sequence
from itertools import chain

import msgspec

from edge_agent.acquisition.shown import listed, shown
from edge_agent.strict import counted

ALLOWED = b"0123456789+-.,eE \t\r\n" + b"nNaAiIfFtTyY"
"""The characters of decimals, ``nan``, ``inf`` and ``infinity``; ``float`` alone would accept ``1_0``."""
_PAIR = re.compile(rb"\s*([^\s:=,;][^:=,;\t]*?)\s*[:=]\s*([^\s:=,;]+)[\s,;]*")
_DIGIT = re.compile(rb"\d")
_TEXT_SHARE = 0.9
_decode = msgspec.json.Decoder().decode

Dialect = Callable[[bytes], bytes]
"""Converts a line to comma-separated decimals; a line of another dialect becomes a malformed one."""


def dialects(names: Sequence[str]) -> list[Dialect]:
    """Return the dialects to try, in this order.

    Args:
        names: names of the columns, for labels; empty: labels are not tried.
    """
    plain: list[Dialect] = [_commas, _comma_behind, _semicolons, _tabs, _blanks, _bracketed]
    return [*plain, _by_label(names)] if names else plain


def decimals(lines: Sequence[bytes], columns: int) -> list[float] | None:
    """Return all numbers of lines of comma-separated decimals, or None if one line is malformed."""
    rows = [line.split(b",") for line in lines]
    if any(len(row) != columns for row in rows) or any(line.translate(None, ALLOWED) for line in lines):
        return None
    try:
        return [float(field) for field in chain.from_iterable(rows)]
    except ValueError:
        return None


def why_malformed(line: bytes, columns: int, names: Sequence[str]) -> str:
    """Return the fault of a line that is no sample in any dialect, and what to do."""
    text = line.strip()
    printable = sum(letter in b"\t" or 0x20 <= letter < 0x7F for letter in text)  # noqa: PLR2004  # ASCII's
    if not text:
        return "it is empty"
    if printable < _TEXT_SHARE * len(text):
        return "it is not text; check baud, or set the framing of binary records"
    if is_json(text):
        return 'it is JSON; set framing = "json"'
    labels = labelled(text)
    if labels and decimals([b",".join(labels.values())], len(labels)) is not None:
        absent = [name for name in names if name.encode() not in labels]
        if absent:
            return f"it has no label {absent[0]}; name the channels like its labels: {listed(labels)}"
    split = [dialect(text).split(b",") for dialect in dialects(())]
    for fields in split:
        if len(fields) > 1 and len(fields) != columns and decimals([b",".join(fields)], len(fields)) is not None:
            return f"it has {len(fields)} numbers, not {columns}; name {len(fields)} channels"
    for fields in split:
        wrong = [place for place, field in enumerate(fields) if decimals([field], 1) is None]
        if len(fields) == columns and (len(wrong) < columns or all(map(_DIGIT.search, fields))):
            given = shown(fields[wrong[0]].strip())
            return f"its number {wrong[0] + 1} is {given}, not a decimal; send only decimals"
    return (
        f"it is not a row of {counted(columns, 'decimal')}; send one sample per line, with commas between its numbers"
    )


def is_json(text: bytes) -> bool:
    """Return whether a line is a JSON object, or an array of objects."""
    try:
        found = _decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return False
    objects = found if isinstance(found, list) else [found]
    return bool(objects) and all(isinstance(one, dict) for one in objects)


def labelled(line: bytes) -> dict[bytes, bytes]:
    """Return label → value; empty if the line has anything but labelled values, or repeats a label."""
    found: dict[bytes, bytes] = {}
    line = line.removeprefix(b">")
    at = 0
    while at < len(line):
        pair = _PAIR.match(line, at)
        if pair is None or pair[1] in found:
            return {}
        found[pair[1]] = pair[2]
        at = pair.end()
    return found


def _commas(line: bytes) -> bytes:
    return line


def _comma_behind(line: bytes) -> bytes:
    return line.rstrip().removesuffix(b",")


def _semicolons(line: bytes) -> bytes:
    return _apart(line, b";")


def _tabs(line: bytes) -> bytes:
    return _apart(line, b"\t")


def _apart(line: bytes, mark: bytes) -> bytes:
    """Convert a line with ``mark`` between numbers, which may have decimal commas."""
    if mark not in line.strip(b" \r"):
        return b""
    return line.strip(b" \r").removesuffix(mark).replace(b",", b".").replace(mark, b",")


def _blanks(line: bytes) -> bytes:
    return b"" if b"," in line else b",".join(line.split())


def _bracketed(line: bytes) -> bytes:
    text = line.strip()
    return text[1:-1] if text[:1] + text[-1:] in (b"()", b"[]") else b""


def _by_label(names: Sequence[str]) -> Dialect:
    wanted = [name.encode() for name in names]

    def ordered(line: bytes) -> bytes:
        values = labelled(line.strip())
        return b",".join(values[name] for name in wanted) if all(name in values for name in wanted) else b""

    return ordered
