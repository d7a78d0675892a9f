"""What goes over a shared source's socket: any cut of the bytes gives the same frames, and nothing else is believed."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import SourceError
from edge_agent.sensing.frames import Batch, Decoder, Hello, State, encode_batch, encode_json
from edge_agent.sensing.outbox import Outbox, Parcel

NUMBERS = Hello(channels=("x", "y"), rate_hz=50, silence_s=10)
PICTURES = Hello(channels=("r", "g", "b"), rate_hz=30, silence_s=10, frame_shape=(4, 5))


def batch(number: int, samples: int = 3, hello: Hello = NUMBERS, *, gap: bool = False) -> Batch:
    values = np.arange(samples * int(np.prod(hello.sample_shape))) + number
    return Batch(number, 1.5 + number, 2e9, gap, 7, values.astype(hello.dtype).reshape(-1, *hello.sample_shape))


def sealed(one: Batch, lost: int = 0) -> bytes:
    payload = one.samples.tobytes()
    return encode_batch(one, len(payload), lost=lost) + payload


@given(st.data(), st.sampled_from([NUMBERS, PICTURES]))
def test_however_the_bytes_are_cut_the_frames_are_the_same(data: st.DataObject, hello: Hello) -> None:
    sent = [batch(number, data.draw(st.integers(1, 9)), hello, gap=data.draw(st.booleans())) for number in range(4)]
    stream = encode_json(hello) + encode_json(State(trouble="gone")) + b"".join(map(sealed, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder = Decoder()

    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    got = [frame for piece in pieces for frame in decoder.feed(piece)]

    assert got[0] == hello
    assert got[1] == State(trouble="gone")
    for one, other in zip(got[2:], sent, strict=True):
        assert isinstance(one, Batch)
        assert (one.number, one.heard_s, one.time_s, one.gap, one.malformed, one.lost) == (
            other.number, other.heard_s, other.time_s, other.gap, 7, 0
        )  # fmt: skip
        assert one.samples.dtype == other.samples.dtype
        assert np.array_equal(one.samples, other.samples)


@given(st.binary(min_size=1, max_size=200))
def test_whatever_the_bytes_nothing_but_frames_or_an_error_comes(data: bytes) -> None:
    decoder = Decoder()
    list(decoder.feed(encode_json(NUMBERS)))
    try:
        for frame in decoder.feed(data):
            assert isinstance(frame, Hello | State | Batch)
    except SourceError as error:
        assert error.code == "source_unavailable"  # noqa: PT017  # either outcome is right


class FormerState(msgspec.Struct):
    """A state before it had an example."""

    code: str = ""
    trouble: str = ""


def test_a_former_version_and_this_one_understand_each_other() -> None:
    decoder = Decoder()
    new = encode_json(State(trouble="gone", malformed_example="'x'"))
    old = b"S" + msgspec.json.encode(FormerState(trouble="gone"))

    (state,) = decoder.feed(len(old).to_bytes(4, "little") + old)

    assert state == State(trouble="gone", malformed_example="")
    assert msgspec.json.decode(new[5:], type=FormerState) == FormerState(trouble="gone")


def test_another_version_is_refused() -> None:
    with pytest.raises(SourceError, match="version 2"):
        list(Decoder().feed(encode_json(Hello(v=2, channels=("x",), rate_hz=1, silence_s=1))))


def drain(outbox: Outbox) -> list[Hello | State | Batch]:
    decoder, frames = Decoder(), []
    while (data := outbox.next()) is not None:
        piece = bytes(data[:10])
        outbox.sent(len(piece))
        frames += decoder.feed(piece)
    return frames


def parcel(number: int) -> Parcel:
    one = batch(number)
    return Parcel(one, one.samples.tobytes())


def test_the_oldest_is_dropped_and_the_reader_is_told() -> None:
    outbox = Outbox(limit_bytes=3 * 24)
    outbox.greet(NUMBERS)
    for number in range(10):
        outbox.put(parcel(number))

    frames = drain(outbox)

    assert frames[0] == NUMBERS
    batches = [frame for frame in frames if isinstance(frame, Batch)]
    assert [one.number for one in batches] == [7, 8, 9]
    assert [(one.gap, one.lost) for one in batches] == [(True, 21), (False, 0), (False, 0)]
    assert outbox.dropped == 21
    outbox.put(parcel(10))
    assert outbox.next() is not None


def test_a_reader_that_was_stuck_for_days_is_told_how_many_it_lost() -> None:
    (got,) = list(Decoder().feed(encode_json(NUMBERS) + sealed(batch(0), lost=1 << 33)))[1:]

    assert isinstance(got, Batch)
    assert (got.lost, got.gap) == (1 << 33, True)


def test_what_has_begun_to_leave_is_finished_and_only_what_is_behind_it_is_dropped() -> None:
    outbox = Outbox(limit_bytes=24)
    outbox.greet(NUMBERS)
    outbox.put(parcel(0))
    decoder, frames = Decoder(), []
    for _ in range(30):  # the hello, and a part of the first batch
        data = outbox.next()
        assert data is not None
        frames += decoder.feed(bytes(data[:4]))
        outbox.sent(min(4, len(data)))
    for number in range(1, 6):
        outbox.put(parcel(number))
    while (data := outbox.next()) is not None:
        frames += decoder.feed(bytes(data))
        outbox.sent(len(data))

    batches = [frame for frame in frames if isinstance(frame, Batch)]
    assert [one.number for one in batches] == [0, 5]
    assert batches[1].gap
    assert batches[1].lost == 12


def test_a_batch_that_is_larger_than_the_limit_is_not_lost_for_that() -> None:
    outbox = Outbox(limit_bytes=1)
    outbox.greet(NUMBERS)
    outbox.put(parcel(0))

    assert [frame.number for frame in drain(outbox) if isinstance(frame, Batch)] == [0]
    assert outbox.dropped == 0


def test_only_the_newest_state_is_told_and_another_source_forgets_what_waits() -> None:
    outbox = Outbox(limit_bytes=1000)
    outbox.greet(NUMBERS)
    outbox.put(parcel(0))
    for number in range(5):
        outbox.tell(State(trouble=str(number)))
    outbox.greet(PICTURES)

    assert drain(outbox) == [PICTURES, State(trouble="4")]
