"""Samples as they come, into the active release: resampled and cut as in capture, however they are brought."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.captures import CHANNELS, motion
from support.sensing import Served
from support.served import Maker, OnnxMaker, activate, contract

from edge_agent import serving
from edge_agent.errors import EdgeAgentError
from edge_agent.preprocess import Preprocess
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.sensing.frames import Batch, Hello
from edge_agent.settings.sharing import SOCKET_NAME, source_folder
from edge_agent.state.store import Store
from edge_agent.wire.manifest import InputContract, State, Window

MAKERS: list[Maker] = [OnnxMaker()]
Floats = NDArray[np.float32]
RANDOM = np.random.default_rng(0)
SIZE, HOP = 8, 5
FLAT = {"op": "reshape", "shape": [-1]}
STANDARDIZE = {"op": "standardize", "mean": [0, 1, 2], "std": [1, 2, 4]}


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.runtime)
def maker(request: pytest.FixtureRequest) -> Maker:
    made: Maker = request.param
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    store.lock()
    yield store
    store.unlock()


def overlapping(channels: list[str] = CHANNELS, *steps: dict[str, Any], **fields: Any) -> InputContract:
    return InputContract(
        source="imu", channels=channels, window=Window(SIZE, HOP), steps=[*steps, FLAT], **{"rate_hz": 50.0, **fields}
    )


def weights(rows: int, columns: int = 2) -> Floats:
    return RANDOM.normal(size=(rows, columns)).astype(np.float32)


def in_pieces(stream: serving.Stream, samples: Floats, seed: int = 1) -> list[Any]:
    answers, start, random = [], 0, np.random.default_rng(seed)
    while start < len(samples):
        piece = samples[start : start + random.integers(0, 40)]
        answers += stream(piece)
        start += len(piece)
    return answers


def windows(samples: Floats) -> list[Floats]:
    return [samples[start : start + SIZE] for start in range(0, len(samples) - SIZE + 1, HOP)]


@pytest.mark.parametrize("rate_hz", [104.0, 100.0, 50.0, 26.0, None])
def test_every_window_of_the_resampled_stream_is_answered(
    store: Store, maker: Maker, tmp_path: Path, rate_hz: float | None
) -> None:
    activate(store, 1, maker.product(tmp_path / "m", weights(SIZE * 3)), [overlapping(CHANNELS, STANDARDIZE)])
    model = serving.load("har", state_dir=store.root)
    samples = motion(600)

    answers = in_pieces(model.stream(rate_hz=rate_hz), samples)

    wanted = windows(Resampler(rate_ratio(rate_hz or 50, 50))(samples))
    assert len(answers) == len(wanted) > 30
    for answer, window in zip(answers, wanted, strict=True):
        assert np.array_equal(answer, model(window))


def test_a_hop_may_be_longer_than_a_window(store: Store, maker: Maker, tmp_path: Path) -> None:
    sparse = InputContract(source="imu", channels=CHANNELS, window=Window(4, 100), steps=[FLAT])
    activate(store, 1, maker.product(tmp_path / "m", weights(12)), [sparse])
    model = serving.load("har", state_dir=store.root)
    samples = motion(450)

    answers = in_pieces(model.stream(), samples)

    assert len(answers) == 5
    assert all(np.array_equal(answers[at], model(samples[100 * at :][:4])) for at in range(5))


def test_a_contract_without_a_rate_takes_the_sensors(store: Store, maker: Maker, tmp_path: Path) -> None:
    activate(store, 1, maker.product(tmp_path / "m", weights(SIZE * 3)), [overlapping(rate_hz=None)])
    model = serving.load("har", state_dir=store.root)

    assert len(in_pieces(model.stream(rate_hz=104), motion(100))) == len(windows(motion(100)))


def test_columns_have_names(store: Store, maker: Maker, tmp_path: Path) -> None:
    left, right = weights(SIZE * 2), weights(SIZE)
    contracts = [overlapping(["az", "ax"], name="a"), overlapping(["ay"], name="b")]
    activate(store, 1, maker.pair(tmp_path / "m", left, right), contracts)
    model = serving.load("har", state_dir=store.root)
    samples = np.column_stack([motion(300), np.zeros(300, np.float32)])

    answers = in_pieces(model.stream(rate_hz=100, channels=[*CHANNELS, "battery"]), samples)

    wanted = windows(Resampler(rate_ratio(100, 50))(samples))
    assert len(answers) == len(wanted) > 20
    for answer, window in zip(answers, wanted, strict=True):
        assert np.array_equal(answer, model({"a": window[:, [2, 0]], "b": window[:, [1]]}))


def test_no_window_spans_an_interruption(store: Store, maker: Maker, tmp_path: Path) -> None:
    activate(store, 1, maker.product(tmp_path / "m", weights(SIZE * 3)), [overlapping()])
    model = serving.load("har", state_dir=store.root)
    before, after = motion(333, seed=1) + 1000, motion(400)

    stream = model.stream(rate_hz=100)
    in_pieces(stream, before)
    stream.reset()
    answers = in_pieces(stream, after)

    assert np.array_equal(answers, in_pieces(model.stream(rate_hz=100), after))


def test_what_is_no_number_begins_the_stream_anew(store: Store, maker: Maker, tmp_path: Path) -> None:
    activate(store, 1, maker.product(tmp_path / "m", weights(SIZE * 3)), [overlapping()])
    model = serving.load("har", state_dir=store.root)
    stream = model.stream(rate_hz=100)
    in_pieces(stream, motion(200))

    with pytest.raises(EdgeAgentError, match="non_finite: the samples hold NaN or Inf, so the stream restarts"):
        stream(np.full((3, 3), np.nan))

    assert np.array_equal(in_pieces(stream, motion(300)), in_pieces(model.stream(rate_hz=100), motion(300)))


def test_carried_state_goes_on_until_the_stream_begins_anew(store: Store, maker: Maker, tmp_path: Path) -> None:
    w = weights(SIZE * 3)
    activate(store, 1, maker.running_sum(tmp_path / "m", w), [overlapping(name="x")], state=[State("h", "hN")])
    model = serving.load("har", state_dir=store.root)
    stream, samples = model.stream(), motion(40)

    answers = stream(samples)
    stream.reset()
    again = stream(samples)

    steps = np.cumsum([window.reshape(-1) @ w for window in windows(samples)], axis=0)
    assert np.allclose(np.concatenate(answers), 2 * steps, atol=1e-3)
    assert np.array_equal(answers, again)


def test_a_new_release_begins_with_windows_of_its_own(store: Store, maker: Maker, tmp_path: Path) -> None:
    activate(store, 1, maker.product(tmp_path / "v1", weights(SIZE * 3)), [overlapping()])
    model = serving.load("har", state_dir=store.root, follow_s=0)
    stream = model.stream(rate_hz=100)
    in_pieces(stream, motion(200))

    activate(store, 2, maker.product(tmp_path / "v2", weights(6 * 3)), [contract(6, CHANNELS, rate_hz=25.0)])
    answers = in_pieces(stream, motion(400))

    resampled = Resampler(rate_ratio(100, 25))(motion(400))
    assert model.release.version == 2
    assert len(answers) == len(resampled) // 6
    assert np.array_equal(answers[0], model(resampled[:6]))


def test_pictures(store: Store, maker: Maker, tmp_path: Path) -> None:
    """As windows and as a stream, by name of colour; integers stay what they are until a step makes them floats."""
    w = weights(4 * 4 * 3)
    small = {"op": "resize", "height": 4, "width": 4}
    eye = InputContract(
        source="eye", channels=["r", "g", "b"], window=Window(1, 2), frame=(12, 16), steps=[small, FLAT]
    )  # fmt: skip
    activate(store, 1, maker.product(tmp_path / "m", w), [eye])
    model = serving.load("har", state_dir=store.root)
    bgr = RANDOM.integers(0, 256, (7, 12, 16, 3)).astype(np.uint8)

    answers = in_pieces(model.stream(rate_hz=30, channels=["b", "g", "r"]), bgr)

    assert len(answers) == 4
    wanted = Preprocess(eye)(bgr[:1, ..., ::-1]) @ w
    assert np.allclose(answers[0], wanted, rtol=1e-4, atol=1e-2)
    assert all(np.array_equal(answers[at], model(bgr[2 * at :][:1, ..., ::-1])) for at in range(4))
    for given, words in (
        (bgr[:1].astype(np.float32), "dtype_mismatch: pictures must be uint8"),
        (bgr[:2], "wants windows of 1 sample x 12 x 16 x 3 channels"),
        (bgr[0], "not of shape 12x16x3"),
    ):
        with pytest.raises(EdgeAgentError, match=words):
            model(given)


@pytest.mark.parametrize(
    ("how", "samples", "code", "says"),
    [
        ({}, np.zeros((5, 2)), "shape_mismatch", "samples must be [n, 3], not of shape [5, 2]"),
        ({}, np.zeros(5), "shape_mismatch", "samples must be [n, 3], not of shape [5]"),
        ({}, 5, "shape_mismatch", "not of shape []"),
        ({}, [["a", "b", "c"]], "dtype_mismatch", "array of numbers"),
        ({"channels": ["ax", "ay", "as"]}, np.zeros((5, 3)), "channel_unknown", "no channel 'az'"),
        ({"rate_hz": 96_000}, np.zeros((5, 3)), "recipe_unsupported", "cannot be resampled"),
    ],
)
def test_what_does_not_fit_is_said(
    store: Store, maker: Maker, tmp_path: Path, how: dict[str, Any], samples: Any, code: str, says: str
) -> None:
    activate(store, 1, maker.product(tmp_path / "m", weights(SIZE * 3)), [overlapping()])
    stream = serving.load("har", state_dir=store.root).stream(**how)

    with pytest.raises(EdgeAgentError) as error:
        stream(samples)

    assert error.value.code == code
    assert says in error.value.message


def served_batch(number: int, samples: Floats, *, gap: bool = False) -> Batch:
    return Batch(number, time.monotonic(), time.time(), gap, 0, samples)


def test_the_agents_own_sensor_is_read_where_it_is_shared(store: Store, maker: Maker, tmp_path: Path) -> None:
    activate(store, 1, maker.product(tmp_path / "m", weights(SIZE * 3)), [overlapping()])
    model = serving.load("har", state_dir=store.root)
    samples, stream = motion(600), model.stream(rate_hz=100)
    before, after = in_pieces(stream, samples[:333]), (stream.reset(), in_pieces(stream, samples[333:]))[1]
    hello = Hello(channels=tuple(CHANNELS), rate_hz=100, silence_s=1)
    served = Served(source_folder(store.root, "imu") / SOCKET_NAME, hello)

    answers = iter(model.stream())
    feeder = threading.Timer(
        0.3,
        lambda: [
            served.give(served_batch(start // 37, samples[start : min(start + 37, 333 if start < 333 else 600)],
                                     gap=start == 333))
            for start in range(0, 600, 37)
        ],
    )  # fmt: skip
    feeder.start()
    got = [next(answers) for _ in range(len(before) + len(after))]
    feeder.join()
    with pytest.raises(EdgeAgentError) as error:
        next(answers)
    served.close()

    assert len(before) > 20
    assert len(after) > 20
    for answer, wanted in zip(got, [*before, *after], strict=True):
        assert np.array_equal(answer, wanted)
    assert error.value.code == "source_lost"


def test_the_agents_own_sensor_may_send_what_is_no_number_now_and_then(
    store: Store, maker: Maker, tmp_path: Path
) -> None:
    activate(store, 1, maker.product(tmp_path / "m", weights(SIZE * 3)), [overlapping()])
    model = serving.load("har", state_dir=store.root)
    wanted = in_pieces(model.stream(rate_hz=100), motion(100))
    hello = Hello(channels=tuple(CHANNELS), rate_hz=100, silence_s=0.3)
    served = Served(source_folder(store.root, "imu") / SOCKET_NAME, hello)
    nothing = np.full((3, 3), np.nan, np.float32)

    def feed() -> None:
        served.give(served_batch(0, nothing))
        served.give(served_batch(1, motion(100)))
        for number in range(2, 12):
            served.give(served_batch(number, nothing))
            time.sleep(0.1)

    answers = iter(model.stream())
    feeder = threading.Timer(0.2, feed)
    feeder.start()
    got = [next(answers) for _ in wanted]
    with pytest.raises(EdgeAgentError) as error:
        next(answers)
    feeder.join()
    served.close()

    assert np.array_equal(got, wanted)
    assert error.value.code == "non_finite"


def test_a_slow_sensor_of_the_agent_is_not_silent_before_five_samples_time(
    store: Store, maker: Maker, tmp_path: Path
) -> None:
    activate(store, 1, maker.product(tmp_path / "m", weights(SIZE * 3)), [overlapping(rate_hz=2.0)])
    hello = Hello(channels=tuple(CHANNELS), rate_hz=2, silence_s=0.2)
    served = Served(source_folder(store.root, "imu") / SOCKET_NAME, hello)
    samples = motion(SIZE)

    def feed() -> None:
        for number in range(2):
            time.sleep(1)
            served.give(served_batch(number, samples[4 * number : 4 * number + 4]))

    feeder = threading.Thread(target=feed)
    feeder.start()
    answer = next(iter(serving.load("har", state_dir=store.root).stream()))
    feeder.join()
    served.close()

    assert np.array_equal(answer, serving.load("har", state_dir=store.root).stream(rate_hz=2)(samples)[0])


def test_a_sensor_that_is_not_shared_is_said_to_be_none(store: Store, maker: Maker, tmp_path: Path) -> None:
    activate(store, 1, maker.product(tmp_path / "m", weights(SIZE * 3)), [overlapping()])

    with pytest.raises(EdgeAgentError) as error:
        next(iter(serving.load("har", state_dir=store.root).stream()))

    assert error.value.code == "source_unavailable"
    assert "'imu'" in error.value.message
    assert "set share = true (or keep_windows) in [sources.imu] of the config, and restart" in error.value.message
