"""A model file without its weights: everything that inspection needs, at a fraction of the memory.

Walks the protobuf wire format of a mapped file and copies all but large payloads (tensor data, long attribute values).
A model of 500 MB is inspected in a few MB, and no external file is ever opened. A file with lengths that contradict its
size is rejected here, before any parser or runtime sees it.

Wire format: https://protobuf.dev/programming-guides/encoding/. onnx's own descriptors define which fields hold
messages.
"""

import mmap
from pathlib import Path
from typing import Any

import onnx

from edge_agent.errors import ModelError

MAX_BYTES = 2**31 - 1  # protobuf's own limit for one message
PAYLOAD_BYTES = 1024
"""Longer values are left out."""
_MAX_DEPTH = 64
_MAX_VARINT = 10  # bytes
_MORE = 0x80  # the continuation bit of a varint

_WALKED = (
    onnx.ModelProto,
    onnx.GraphProto,
    onnx.NodeProto,
    onnx.AttributeProto,
    onnx.TensorProto,
    onnx.SparseTensorProto,
    onnx.FunctionProto,
    onnx.TrainingInfoProto,
    onnx.ValueInfoProto,
    onnx.OperatorSetIdProto,
)
_PAYLOADS = {onnx.AttributeProto.DESCRIPTOR.full_name, onnx.TensorProto.DESCRIPTOR.full_name}
"""Messages with long scalar fields that are values, not structure."""


def _table() -> dict[str, dict[int, str]]:
    names = {message.DESCRIPTOR.full_name for message in _WALKED}
    return {
        message.DESCRIPTOR.full_name: {
            field.number: field.message_type.full_name
            for field in message.DESCRIPTOR.fields
            if field.message_type is not None and field.message_type.full_name in names
        }
        for message in _WALKED
    }


_CHILDREN = _table()
_STRUCTURE = {
    message.DESCRIPTOR.full_name: {
        field.number for field in message.DESCRIPTOR.fields if field.message_type is not None
    }
    for message in _WALKED
}
_TEXT = {
    message.DESCRIPTOR.full_name: {
        field.number for field in message.DESCRIPTOR.fields if field.type == field.TYPE_STRING
    }
    for message in _WALKED
}
"""String fields: the parser accepts broken UTF-8, and readers would get bytes instead of text."""


class _DamagedError(Exception):
    """The fault of a file, as a clause that follows its name."""


def read_skeleton(path: Path) -> tuple[Any, int]:
    """The ``ModelProto`` of a file without large payloads, and the file's size in bytes.

    Raises:
        ModelError: ``model_unreadable``, or ``model_too_large`` above protobuf's limit of 2 GiB.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size > MAX_BYTES:
                raise ModelError("model_too_large", f"{path.name} has {size} bytes; one ONNX file holds at most 2 GiB")
            if size == 0:
                raise ModelError("model_unreadable", f"{path.name} is empty; export it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                data = _strip(mapped, 0, size, onnx.ModelProto.DESCRIPTOR.full_name)
    except _DamagedError as error:
        raise ModelError("model_unreadable", f"{path.name} {error}; copy or export it again") from None
    except OSError as error:
        raise ModelError("model_unreadable", f"{path.name} cannot be read: {error.strerror}; check its path") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(bytes(data))
    except Exception as error:  # protobuf's DecodeError has no stable import path across its implementations
        raise ModelError("model_unreadable", f"{path.name} is not an ONNX model: {error}; export it again") from error
    return model, size


def read_varint(file: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """A variable-length integer at ``position``, and the position behind it; raises if it exceeds ``end``."""
    value = 0
    for shift in range(_MAX_VARINT):
        if position >= end:
            raise _truncated()
        byte = file[position]
        position += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < _MORE:
            return value, position
    raise _DamagedError("is no ONNX model")


def encode_varint(value: int) -> bytes:
    """An integer as protobuf writes it."""
    out = bytearray()
    while value >= _MORE:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _strip(file: mmap.mmap, position: int, end: int, message: str, depth: int = 0) -> bytearray:
    """Bytes ``[position, end)`` of the file, which encode a ``message``, without large payloads."""
    if depth > _MAX_DEPTH:
        raise _DamagedError("nests graphs too deeply for a model")
    children, structure, text = _CHILDREN[message], _STRUCTURE[message], _TEXT[message]
    drops = message in _PAYLOADS
    out = bytearray()
    while position < end:
        start = position
        tag, position = read_varint(file, position, end)
        number = tag >> 3
        match tag & 7:
            case 0:
                _, position = read_varint(file, position, end)
            case 1:
                position += 8
            case 2:
                length, body = read_varint(file, position, end)
                position = body + length
                if position > end:
                    raise _truncated()
                if number in children:
                    inner = _strip(file, body, position, children[number], depth + 1)
                    out += encode_varint(tag) + encode_varint(len(inner)) + inner
                    continue
                if number in text:
                    _check_text(file[body:position])
                if drops and length > PAYLOAD_BYTES and number not in structure:
                    continue
            case 5:
                position += 4
            case _:
                raise _DamagedError("is no ONNX model")
        if position > end:
            raise _truncated()
        out += file[start:position]
    return out


def _check_text(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise _DamagedError("is damaged: a name in it is not valid text") from error


def _truncated() -> _DamagedError:
    return _DamagedError("is truncated or not an ONNX model")
