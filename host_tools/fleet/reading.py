"""Decodes a device's message into values that are safe to store and display. Pure.

Anybody who may write to a device's topics may write anything: megabytes, a thousand nested brackets, numbers of a
hundred digits, control characters. The result of :func:`read` has the type of its topic and concerns the device, model
or job that the topic names. Its strings are valid for terminals, labels and columns, and its numbers fit 64 bits. Other
invalid names, such as those of models, are removed (:mod:`host_tools.fleet.names`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from edge_agent.errors import WireError
from edge_agent.printable import printable
from edge_agent.strict import UNDECODABLE
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, Message, decode
from edge_agent.wire.telemetry import HEALTH, Event, Health, ModelSample, ModelState
from edge_agent.wire.topics import MODEL_STREAMS, DeviceTopic, Topics, check_name
from host_tools.fleet.names import with_names

MOST = 1000
"""Characters of a string, by default."""
_BEYOND = 1 << 63
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_TOO_MANY = b"0" * 19
_OPENING = b"[{"
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DEEP = 32
_MESSAGES: dict[str, type[Message]] = {
    "status": DeviceStatus, "info": DeviceInfo, "job": JobReport, "model": ModelState, "event": Event,
}  # fmt: skip
_FLAT = (ModelState, Health, ModelSample, Event)

_JobHead = msgspec.defstruct(
    "_JobHead",
    [
        (one.name, one.type) if one.required else (one.name, one.type, msgspec.field(default=one.default))
        for one in msgspec.structs.fields(JobReport)
        if one.name != "results"
    ],
    kw_only=True,
)
"""A report without its results."""

Reason = Literal["topic", "too_large", "malformed", "protocol_version", "foreign_name"]


@dataclass(frozen=True, slots=True)
class Said:
    """A message of ``device`` on its topic ``kind`` or ``kind/leaf``; ``message`` None: a retained one was cleared."""

    device: str
    kind: str
    leaf: str
    message: Message | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that cannot be used. ``device``: the device in its topic; empty: none."""

    device: str
    reason: Reason


def retained_filters(topics: Topics) -> tuple[str, ...]:
    """The filters for all retained messages of devices that :func:`read` decodes."""
    return tuple(topics.devices(kind) for kind in ("status", "info", "model", "job"))


def models_first(topics: Iterable[str]) -> list[str]:
    """Topics of devices, sorted so that the states of a device's models come before its jobs."""
    return sorted(topics, reverse=True)  # "status", "model", "job", "info"


def live_filters(topics: Topics) -> tuple[str, ...]:
    """The filters for messages that are not retained: samples."""
    return topics.device("+", "tele", HEALTH), topics.device("+", "tele", f"{MODEL_STREAMS}+")


def device_of(topics: Topics, topic: str) -> str:
    """The device in a topic, without checking the rest; empty if the name is invalid."""
    try:
        return check_name(topic.removeprefix(f"{topics.namespace}/d/").partition("/")[0])
    except WireError:
        return ""


def read(topics: Topics, topic: str, payload: bytes, most: int = MOST, *, results: bool = True) -> Said | Unreadable:
    """The decoded message; its strings have at most ``most`` characters.

    ``results``: whether to decode a job's results, which are most of its report; otherwise the report has none.
    """
    try:
        where = topics.parse(topic)
    except WireError:
        return Unreadable("", "topic")
    kind = _kind_of(where) if isinstance(where, DeviceTopic) else None
    if kind is None or not isinstance(where, DeviceTopic):
        return Unreadable("", "topic")
    if not payload:
        return Said(where.device, where.kind, where.leaf, None)
    try:
        message = decode(payload, kind) if results or kind is not JobReport else _without_results(payload)
        if not _plain(payload, most):
            message = _bounded(message, most)
        named = _names(message, where)
    except WireError as error:
        return Unreadable(where.device, _reason(error.code))
    except (*UNDECODABLE, msgspec.ValidationError):
        return Unreadable(where.device, "malformed")
    if not named:
        return Unreadable(where.device, "foreign_name")
    return Said(where.device, where.kind, where.leaf, with_names(message))


def _without_results(payload: bytes) -> JobReport:
    return JobReport(**msgspec.structs.asdict(decode(payload, _JobHead)))


def _kind_of(where: DeviceTopic) -> type[Message] | None:
    if where.kind == "tele":
        return Health if where.leaf == HEALTH else ModelSample if where.leaf.startswith(MODEL_STREAMS) else None
    return _MESSAGES.get(where.kind)


def _reason(code: str) -> Reason:
    match code:
        case "too_large" | "protocol_version":
            return code
    return "malformed"


def _names(message: Message, where: DeviceTopic) -> bool:
    """Whether a message concerns the subject of its topic, so that no device speaks for another."""
    match message:
        case ModelState(model=model) | ModelSample(model=model):
            if model != where.leaf.removeprefix(MODEL_STREAMS):
                return False
        case JobReport(job=job, model=model):
            check_name(model, "model")
            if job != where.leaf:
                return False
    return getattr(message, "device", "") == where.device


def _plain(payload: bytes, most: int) -> bool:
    """Whether the JSON needs no shortening at first sight; checking each value takes ten times longer.

    Without escapes and characters beyond ASCII there is no control character, as JSON has these only in escapes, and
    every second piece between quotation marks is a string. Without 19 digits in a row no integer exceeds 64 bits.
    """
    if not payload.isascii() or b"\\" in payload or b"\x7f" in payload or _TOO_MANY in payload.translate(_DIGITS):
        return False
    pieces = payload.split(b'"')
    return max(map(len, pieces[1::2]), default=0) <= most and _is_flat(b"".join(pieces[::2]))


def _is_flat(around: bytes) -> bool:
    """Whether the text around the strings nests no deeper than any message of the protocol."""
    depth = 0
    for bracket in around.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > _DEEP:
            return False
    return True


def _bounded(message: Message, most: int) -> Message:
    if isinstance(message, _FLAT) and all(_fits(value, most) for value in msgspec.structs.astuple(message)):
        return message
    kind = type(message)
    return msgspec.convert(_cut(msgspec.to_builtins(message), most), kind)


def _fits(value: Any, most: int) -> bool:
    match value:
        case str():
            return len(value) <= most and value.isprintable()
        case int():
            return -_BEYOND <= value < _BEYOND
    return True


def _cut(value: Any, most: int) -> Any:
    match value:
        case str():
            return printable(value, most)
        case list():
            return [_cut(one, most) for one in value]
        case dict():
            return {_cut(key, most): _cut(one, most) for key, one in value.items()}
        case int() if not -_BEYOND <= value < _BEYOND:
            raise WireError("malformed", f"a number of {value.bit_length()} bits; 64 are the limit")
    return value
