from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.captures import csv_lines, motion

from edge_agent.acquisition.framing import to_samples
from edge_agent.acquisition.framing.decimals import CsvDecoder


def decode(*pieces: bytes, columns: int = 2) -> tuple[list[list[float]], int]:
    decoder = CsvDecoder(columns)
    samples = [row for piece in pieces for row in to_samples(decoder.feed(piece)).tolist()]
    return samples, decoder.malformed


@pytest.mark.parametrize(
    "pieces",
    [
        [b"\n1,2\n3,4\n"],
        [b"\n1,2\r\n3,4\r\n"],
        [b"junk of a half line\n1,2\n3,4\n"],
        [b"9,9\n1,", b"2", b"\n3,4", b"\n"],
        [b"\n 1 ,\t2\n3,4\n5,"],
        [b"\n1e0,2.0\n+3,4.\n"],
    ],
)
def test_lines_in_any_pieces(pieces: list[bytes]) -> None:
    assert decode(*pieces) == ([[1, 2], [3, 4]], 0)


@pytest.mark.parametrize(
    "bad", [b"1", b"1,2,3", b",", b"1,", b"x,2", b"1_0,2", b"\xff\x001,2", b"1;2", b"0x1,2", b"1,2 3", b"--1,2"]
)
def test_a_malformed_line_is_counted_and_its_neighbours_are_kept(bad: bytes) -> None:
    assert decode(b"\n1,2\n" + bad + b"\n3,4\n") == ([[1, 2], [3, 4]], 1)


def test_nan_and_inf_are_numbers_and_what_float32_cannot_hold_is_inf() -> None:
    samples, malformed = decode(b"\nnan,inf\n-Infinity,1e39\n")

    assert malformed == 0
    assert np.isnan(samples[0][0])
    assert samples[0][1:] + samples[1] == [np.inf, -np.inf, np.inf]


def test_after_a_restart_the_first_partial_line_is_dropped() -> None:
    decoder = CsvDecoder(2)
    decoder.feed(b"\n1,2\n3")
    decoder.restart()

    assert decoder.feed(b"7,8\n5,6\n").tolist() == [[5, 6]]
    assert decoder.malformed == 0


def test_a_line_without_end_does_not_grow_for_ever() -> None:
    decoder = CsvDecoder(2)
    decoder.feed(b"\n")
    for _ in range(100):
        decoder.feed(b"1" * 1000)

    assert len(decoder._lines._partial) <= 4096
    assert decoder.malformed >= 1
    assert decoder.feed(b"\n1,2\n").tolist() == [[1, 2]]


@given(cuts=st.lists(st.integers(0, 4000), max_size=30), noise=st.lists(st.binary(max_size=8), max_size=5))
@settings(deadline=None, max_examples=60)
def test_where_the_stream_is_cut_does_not_matter(cuts: list[int], noise: list[bytes]) -> None:
    data = b"\n" + csv_lines(motion(60)) + b"\n".join(noise) + b"\n" + csv_lines(motion(60, seed=1))
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]

    pieces = [data[start:stop] for start, stop in pairwise(bounds)]

    assert str(decode(*pieces, columns=3)) == str(decode(data, columns=3))


@given(data=st.binary(max_size=300))
@settings(deadline=None)
def test_no_bytes_break_it(data: bytes) -> None:
    decoder = CsvDecoder(1)

    samples = decoder.feed(b"\n" + data + b"\n1.5\n")

    assert samples.dtype == np.float64
    assert samples[-1] == [1.5]
