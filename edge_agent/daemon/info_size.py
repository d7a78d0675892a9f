"""Keeps a device's info below the protocol's size limit, as readers reject a larger message as a whole. Pure.

The message names the fields that were shortened. Facts known from elsewhere are dropped first, active releases last.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from edge_agent.wire.messages import MAX_REPORT_BYTES, DeviceInfo, encode


def encode_info(info: DeviceInfo) -> bytes:
    """The encoded ``info``, shortened as far as the limit requires."""
    data = b""
    for fewer in _ever_fewer(info):
        data = encode(fewer)
        if len(data) <= MAX_REPORT_BYTES:
            break
    return data


def _ever_fewer(info: DeviceInfo) -> Iterator[DeviceInfo]:
    yield info
    kinds = {name: {"kind": source.get("kind", "")} for name, source in info.sources.items()}
    info = _without(info, "sources", kinds)
    yield info
    for most in _halves(len(info.highest)):
        info = _without(info, "highest", _first(info.highest, most))
        yield info
    for most in _halves(len(info.sources)):
        info = _without(info, "sources", _first(info.sources, most))
        yield info
    for most in _halves(len(info.active)):
        info = _without(info, "active", info.active[:most])
        yield info


def _without(info: DeviceInfo, field: str, rest: Any) -> DeviceInfo:
    named = [] if info.left_out is msgspec.UNSET else info.left_out
    return msgspec.structs.replace(info, left_out=sorted({*named, field}), **{field: rest})


def _first(table: Mapping[str, Any], most: int) -> dict[str, Any]:
    return dict(islice(table.items(), most))


def _halves(number: int) -> Iterator[int]:
    while number:
        number //= 2
        yield number
