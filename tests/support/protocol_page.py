"""The tables of ``docs/protocol.md``, made from the channels and the structs.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; what is around these is written by hand.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from edge_agent.jobs.result import GateResult, LayerLoss, MeasuredModel, MeasuredOn, Result
from edge_agent.jobs.value_histogram import ValueHistogram
from edge_agent.wire.channels import CHANNELS, Channel
from edge_agent.wire.envelope import Envelope, Signature
from edge_agent.wire.keys import KeyList
from edge_agent.wire.manifest import FEATURES, Blob, Manifest
from edge_agent.wire.messages import ActiveRelease, Command, Message, Refused
from edge_agent.wire.telemetry import EVENT_KINDS
from support.json_schemas import Kind, Schema, docstrings, schemas

SAID: list[Kind] = [channel.message for channel in CHANNELS.values() if channel.message not in (None, Envelope)]
SHOWN: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        *(Message, *SAID, Refused, ActiveRelease, Envelope, Signature, Command, Manifest, Blob, KeyList),
        *(Result, MeasuredModel, GateResult, LayerLoss, ValueHistogram, MeasuredOn),
    )
}
"""The structs that have a table of fields; the others have a schema alone."""
OTHERS = ("topics", "when", "kinds", "features")
EVERYWHERE = {"device": "the device's id", "model": "the model's name", "job": "the job's id"}
"""What means the same wherever it stands, and has no docstring for that reason."""
UNITS = {
    "_bytes_per_day": "bytes a day",
    "_bytes": "bytes",
    "_ms": "ms",
    "_s": "s",
    "seconds": "s",
    "_mhz": "MHz",
    "_hz": "Hz",
    "_c": "°C",
    "_db": "dB",
}
"""End of a field's name → its unit."""
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str) -> str:
    """``page`` with each of its tables made anew."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{table(block[2])}\n\n{block[3]}", page)


def tables(page: str) -> list[str]:
    """The names of the tables in ``page``."""
    return [block[2] for block in _BLOCK.finditer(page)]


def table(name: str) -> str:
    """The table of this name: one of those in ``OTHERS``, or a struct's."""
    match name:
        case "topics":
            return _rows(("topic", "message", "written by", "read by", "retained", "QoS", "at most", "what"), _topics())
        case "when":
            return _rows(("topic", "published"), ((_address(one), one.when) for one in CHANNELS.values()))
        case "kinds":
            rows = ((f"`{name}`", kind.severity, kind.text) for name, kind in EVENT_KINDS.items())
            return _rows(("kind", "severity", "what has happened"), rows)
        case "features":
            known = (
                (f"`{feature.name}`", f"`{feature.written}`".replace("`the step ", "the step `"))
                for feature in FEATURES
            )
            return _rows(("feature", "as an operator writes it"), known)
    return _rows(("field", "type", "unit", "meaning"), fields(SHOWN[name]))


def fields(kind: Kind) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, unit and meaning of each field, those of every message left out."""
    own = schemas([kind])[kind.__name__]
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if kind is Message or not (issubclass(kind, Message) and name in Message.__struct_fields__):
            left_out = field.default is msgspec.UNSET
            meaning = docstrings(kind).get(name) or EVERYWHERE.get(name, "")
            yield (
                f"`{name}`",
                type_text(own["properties"][name]) + (", may be left out" if left_out else ""),
                next((unit for end, unit in UNITS.items() if name.endswith(end)), ""),
                meaning.replace("``", "`").replace("|", "or").removesuffix("."),
            )


def type_text(schema: Schema) -> str:
    """A schema's type in words."""
    match schema:
        case {"allOf": [only]} | {"anyOf": [only]}:
            return type_text(only)
        case {"anyOf": several}:
            return " or ".join(type_text(one) for one in several)
        case {"$ref": str(reference)}:
            return _linked(reference.rpartition("/")[2])
        case {"enum": values}:
            return ", ".join(f"`{value}`" if value else "empty" for value in values)
        case {"type": "array", "prefixItems": items}:
            return "array of " + " and ".join(type_text(item) for item in items)
        case {"type": "array", "items": items}:
            return f"array of {type_text(items)}" if items else "array"
        case {"type": "object", "additionalProperties": dict(values)} if values:
            return f"object: name → {type_text(values)}"
        case {"type": str(name)}:
            return name
    return "any"


def _topics() -> Iterator[tuple[str, ...]]:
    for channel in CHANNELS.values():
        kib, rest = divmod(channel.most_bytes, 1024)
        assert not rest
        retained = "yes" if channel.retained else "no"
        yield (
            *(_address(channel), _message(channel), channel.writer, channel.readers, retained),
            *(str(channel.qos), f"{kib} KiB", channel.what),
        )


def _address(channel: Channel) -> str:
    return "`" + re.sub(r"\{(\w+)\}", r"<\1>", channel.address) + "`"


def _message(channel: Channel) -> str:
    if channel.message is None:
        return "raw bytes"
    return ", ".join(_linked(kind.__name__) for kind in channel.signed or (channel.message,)) + (
        ", signed" if channel.signed else ""
    )


def _linked(name: str) -> str:
    return f"[{name}](#{name.lower()})" if name in SHOWN else name


def _rows(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines: list[Any] = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
