"""Binary frames and JSON lines: cut anywhere, with noise, with bytes lost. What comes out was sent, in its place."""

import json
import struct
import zlib
from itertools import pairwise

import numpy as np
import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.acquisition.framing import Decoder
from edge_agent.acquisition.framing.cobs import CobsDecoder
from edge_agent.acquisition.framing.json_lines import JsonDecoder
from edge_agent.acquisition.framing.record import Record
from edge_agent.acquisition.framing.sync import SyncDecoder

SYNC = b"\xaa\x55"
RECORD = Record("<I3h", 4, "crc32")
SENT = [(index, index % 100, -index % 77, 0x55AA) for index in range(60)]
"""A counter, two numbers, and one that looks like the sync word on the wire."""


def body(row: tuple[int, ...]) -> bytes:
    packed = struct.pack("<I3h", *row)
    return packed + struct.pack("<I", zlib.crc32(packed))


def cobs_frame(row: tuple[int, ...]) -> bytes:
    return cobs.encode(body(row)) + b"\0"


def sync_frame(row: tuple[int, ...]) -> bytes:
    return SYNC + body(row)


def json_frame(row: tuple[int, ...]) -> bytes:
    return json.dumps({"n": row[0], "a": row[1], "deep": {"b": row[2]}, "c": row[3], "more": "x"}).encode() + b"\n"


DECODERS = {
    "cobs": (lambda: CobsDecoder(RECORD, 4), cobs_frame, b"\0"),
    "sync": (lambda: SyncDecoder(RECORD, 4, SYNC), sync_frame, b""),
    "json": (lambda: JsonDecoder(["n", "a", "deep.b", "c"]), json_frame, b"\n"),
}


@pytest.fixture(params=sorted(DECODERS))
def framing(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def make(name: str) -> Decoder:
    return DECODERS[name][0]()


def wire(name: str, rows: list[tuple[int, ...]]) -> bytes:
    return DECODERS[name][2] + b"".join(map(DECODERS[name][1], rows))


def decode(decoder: Decoder, *pieces: bytes) -> list[tuple[float, ...]]:
    return [tuple(row) for piece in pieces for row in decoder.feed(piece).tolist()]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
def test_what_was_sent_arrives_in_pieces_of_any_size(framing: str, size: int) -> None:
    data, decoder = wire(framing, SENT), make(framing)

    arrived = decode(decoder, *(data[start : start + size] for start in range(0, len(data), size)))

    assert arrived == SENT
    assert decoder.malformed == 0


def test_a_reader_that_comes_in_the_middle_of_a_frame_begins_with_the_next(framing: str) -> None:
    data, decoder = wire(framing, SENT), make(framing)

    arrived = decode(decoder, data[len(DECODERS[framing][1](SENT[0])) // 2 + 1 :])

    assert arrived == SENT[1:]
    assert decoder.malformed == 0


@given(
    name=st.sampled_from(sorted(DECODERS)),
    lost=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 40)), max_size=4),
    noise=st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=30)), max_size=4),
    cuts=st.lists(st.integers(0, 4000), max_size=20),
)
@settings(deadline=None, max_examples=150)
def test_noise_and_lost_bytes_cost_frames_but_never_move_a_channel(
    name: str, lost: list[tuple[int, int]], noise: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = bytearray(wire(name, SENT))
    for at, count in lost:
        del data[at : at + count]
    for at, extra in noise:
        data[at:at] = extra
    sound = [(row[0] + 100, *row[1:]) for row in SENT[:3]]
    data += DECODERS[name][2] + wire(name, sound)
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = make(name)

    arrived = decode(decoder, *(bytes(data[start:stop]) for start, stop in pairwise(bounds)))

    if name != "json":  # text has no checksum: a digit that is lost is another number, but still in its place
        assert set(arrived) <= {*SENT, *sound}
        assert arrived == sorted(arrived)
    assert all(len(row) == 4 for row in arrived)
    assert arrived[-2:] == sound[-2:]
    hit = len(SENT) + 3 - len(arrived)
    assert hit <= 1 + 4 * len(lost) + 2 * len(noise)
    assert bool(decoder.malformed) or hit <= 1 + sum(count >= 10 for _, count in lost) * 4


@given(data=st.binary(max_size=400))
@settings(deadline=None)
def test_no_bytes_break_a_decoder(data: bytes) -> None:
    for name in DECODERS:
        decoder = make(name)
        decoder.feed(data)
        decoder.restart()

        assert decode(decoder, wire(name, SENT))[-50:] == SENT[-50:]


def test_wrong_framing_is_counted_and_named(framing: str) -> None:
    decoder = make(framing)

    assert decode(decoder, b"hello\0world\n" * 200) == []
    assert decoder.malformed > 50
    assert decoder.wanted
    assert decoder.unit in ("line", "frame")


def test_a_changed_byte_is_found_by_the_checksum_and_sync_is_kept() -> None:
    data = bytearray(wire("sync", SENT))
    frame = len(sync_frame(SENT[0]))
    for index in (5, 20, 21):
        data[index * frame + 8] ^= 0x40
    decoder = make("sync")

    arrived = decode(decoder, bytes(data))

    assert arrived == [row for index, row in enumerate(SENT) if index not in (5, 20, 21)]
    assert decoder.malformed == 3


@pytest.mark.parametrize(
    ("check", "expected"),
    [("sum8", 0x1DD), ("crc16-ccitt-false", 0x29B1), ("crc16-xmodem", 0x31C3), ("crc32", 0xCBF43926)],
)
def test_checksums_are_those_of_the_catalogue(check: str, expected: int) -> None:
    size = {"sum8": 1, "crc32": 4}.get(check, 2)
    value = (expected & (256**size - 1)).to_bytes(size, "big")
    record = Record(">9B", 9, check)  # type: ignore[arg-type]

    assert record.decode(b"123456789" + value) == tuple(b"123456789")
    assert record.decode(b"123456780" + value) is None
    assert record.decode(b"123456789" + value[:-1]) is None


@pytest.mark.parametrize(
    "bad",
    [b'{"a": 1}', b'{"a": true, "b": 1}', b'{"a": "x", "b": 1}', b'{"a": null, "b": 1}', b"[1, 2]", b"3", b"{",
     b'{"a": [1, 2], "b": [1]}', b'{"a": [1], "b": 1}', b'{"a": NaN, "b": 1}', b"[]", b'{"a": {"b": 1}, "b": 2}',
     b"\xff", b"[" * 5000],
)  # fmt: skip
def test_json_that_is_no_sample_is_dropped_and_its_neighbours_are_kept(bad: bytes) -> None:
    decoder = JsonDecoder(["a", "b"])
    good = b'\n{"b": 2, "a": 1}\n'

    assert decode(decoder, good + bad + good) == [(1, 2), (1, 2)]
    assert decoder.malformed in (1, 2)  # an endless line is given up and its rest looked for


@pytest.mark.parametrize("batch", [b'{"a": [1, 3], "b": [2, 4.5]}', b'[{"a": 1, "b": 2}, {"a": 3, "b": 4.5}]'])
def test_one_document_may_hold_several_samples(batch: bytes) -> None:
    assert decode(JsonDecoder(["a", "b"]), b"\n" + batch + b"\n") == [(1, 2), (3, 4.5)]


def test_a_number_that_no_float_holds_is_malformed_or_infinite() -> None:
    decoder = JsonDecoder(["a"])

    arrived = decode(decoder, b'\n{"a": 1' + b"0" * 400 + b'}\n{"a": 7}\n')

    assert arrived[-1] == (7,)
    assert decoder.malformed == 1 or np.isinf(arrived[0][0])
