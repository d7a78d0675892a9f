"""The latency statistic on numbers made up for the purpose, and one real comparison on real models."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from bench.race_error import error, in_turn, raced
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_agent.device.throttling import Throttling
from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.process.program import EXIT_OUT_OF_MEMORY, python_child
from edge_agent.quant.gain import gains
from edge_agent.worker.measure import asking, comparison
from edge_agent.worker.measure.asking import Probes, ask
from edge_agent.worker.measure.comparison import Screened, compare, screen
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.latency import Decision, Observation, judge, looks, summarise
from edge_agent.worker.measure.question import Answer, Request, Served
from edge_agent.worker.search.freezing import SHARED_CONFIDENCE

FLOAT, INT8 = Served("float", "onnxruntime"), Served("int8", "onnxruntime")


def observation(ratio: float, *, float_ratio: float = 1.0) -> Observation:
    return Observation([1.0], [float_ratio], [ratio * (1.0 + float_ratio) / 2], [2.0])


def seen(*ratios: float, float_ratio: float = 1.0) -> list[Observation]:
    return [observation(ratio, float_ratio=float_ratio) for ratio in ratios]


def test_a_clear_case_is_accepted_at_the_first_look() -> None:
    assert judge(seen(*[0.5] * 4), 1.0, last=False) is None
    assert judge(seen(*[0.5] * 5), 1.0, last=False) is Decision.ACCEPTED


def test_what_spreads_more_than_it_is_away_from_the_limit_is_accepted_at_the_first_full_look() -> None:
    near = [0.9, 0.9, 0.9, 0.94, 0.97]

    assert judge(seen(0.9, 0.9, 0.9, 0.9, 0.94), 1.0, last=False) is Decision.ACCEPTED
    assert judge(seen(*near), 1.0, last=False) is None
    assert judge(seen(*near, 0.9, 0.9), 1.0, last=False) is None
    assert judge(seen(*near, 0.9, 0.9, 0.9), 1.0, last=False) is Decision.ACCEPTED


def test_a_clear_refusal_needs_five_processes() -> None:
    assert judge(seen(*[2.0] * 4), 1.0, last=False) is None
    assert judge(seen(*[2.0] * 5), 1.0, last=False) is Decision.SLOWER


def test_one_of_eight_may_lie_above_the_limit_but_not_two() -> None:
    assert judge(seen(1.5, *[0.9] * 7), 1.0, last=False) is Decision.ACCEPTED
    assert judge(seen(1.5, 1.5, *[0.9] * 6), 1.0, last=False) is None


def test_an_unproved_ratio_ends_inconclusive() -> None:
    split = seen(*[0.9, 1.1] * 12)

    assert judge(split[:16], 1.0, last=False) is None
    assert judge(split, 1.0, last=True) is Decision.INCONCLUSIVE


def test_the_limit_itself_is_accepted() -> None:
    assert judge(seen(*[1.0] * 8), 1.0, last=False) is Decision.ACCEPTED


def test_noise_proves_nothing_either_way() -> None:
    assert judge(seen(*[0.5] * 8, float_ratio=1.2), 1.0, last=False) is None
    assert judge(seen(*[0.5] * 24, float_ratio=1.2), 1.0, last=True) is Decision.NOISY
    assert judge(seen(*[2.0] * 24, float_ratio=0.9), 1.0, last=True) is Decision.NOISY
    assert judge(seen(*[0.5] * 8, float_ratio=1.04), 1.0, last=False) is Decision.ACCEPTED


def test_without_a_gate_the_ratio_is_only_measured() -> None:
    assert judge(seen(*[3.0] * 4), 0, last=False) is None
    assert judge(seen(*[3.0] * 5, float_ratio=1.5), 0, last=False) is Decision.ACCEPTED
    assert judge([], 0, last=True) is Decision.ACCEPTED


def test_without_a_gate_a_noisy_device_proves_no_gain_of_time() -> None:
    fast = seen(*[0.5] * 8, float_ratio=1.2)

    assert judge(fast, 0, last=False) is Decision.ACCEPTED, "nothing is to be proved"
    assert judge(fast, 0, last=False, goal=0.95) is None, "measured on until it is quiet"
    assert judge(fast, 0, last=True, goal=0.95) is Decision.ACCEPTED
    told = summarise(Decision.ACCEPTED, fast, FLOAT)
    assert (told.ratio_p50, told.ratio_p50_upper, told.ratio_p50_lower) == (0.5, math.inf, -math.inf)
    assert gains(time_ratio=told.ratio_p50_upper).time is None
    assert summarise(Decision.ACCEPTED, seen(*[0.5] * 8), FLOAT).ratio_p50_upper == 0.5


@pytest.mark.parametrize(
    ("ratios", "says"),
    [
        (
            [1.0205] * 5,
            "int8 is 1.0205 times as slow as float here (1.02 ms against float's 1 ms), and at most 1.02 is",
        ),
        ([1.0164] * 12 + [1.03] * 12, "int8 takes 1.016 to 1.03 of float's time here, which does not prove that it is"),
    ],
)
def test_a_ratio_is_told_beside_its_limit(ratios: list[float], says: str) -> None:
    decision = judge(seen(*ratios), 1.02, last=True)
    assert decision is not None

    assert says in summarise(decision, seen(*ratios), FLOAT, limit=1.02).message


def test_too_few_processes_that_count_are_inconclusive() -> None:
    assert judge([], 1.0, last=True) is Decision.INCONCLUSIVE
    assert judge(seen(*[0.5] * 4), 1.0, last=True) is Decision.INCONCLUSIVE
    assert judge(seen(*[0.5] * 7), 1.0, last=True) is Decision.INCONCLUSIVE, "no look between looks"


def test_a_slow_model_may_be_judged_between_looks_when_time_is_up() -> None:
    assert judge(seen(*[0.5] * 9), 1.0, last=False) is None
    assert judge(seen(*[0.5] * 9), 1.0, last=True) is Decision.ACCEPTED


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=24), st.floats(0.1, 10))
@settings(deadline=None)
def test_the_numbers_fit_the_decision(ratios: list[float], limit: float) -> None:
    found = judge(seen(*ratios), limit, last=True)
    assert found is not None
    told = summarise(found, seen(*ratios), Served("model.onnx", "onnxruntime"))

    assert told.ratio_p50_lower <= told.ratio_p50 <= told.ratio_p50_upper
    assert told.processes == len(ratios)
    if found is Decision.ACCEPTED:
        assert told.ratio_p50_upper <= limit
    elif len(ratios) >= 8:
        assert told.ratio_p50_upper > limit
    if found is Decision.SLOWER:
        assert told.ratio_p50_lower > limit
    assert told.message


def test_what_is_accepted_is_measured_on_for_a_goal_that_it_may_reach() -> None:
    near = [*[0.92] * 6, 0.96, 0.97]  # the bound is 0.96

    assert judge(seen(*near), 1.0, last=False) is Decision.ACCEPTED
    assert judge(seen(*near), 1.0, last=False, goal=0.95) is None
    assert judge(seen(*near, *[0.92] * 8), 1.0, last=False, goal=0.95) is Decision.ACCEPTED, "reached"
    assert judge(seen(*near), 1.0, last=False, goal=0.9) is Decision.ACCEPTED, "out of reach"
    assert judge(seen(*near), 1.0, last=True, goal=0.95) is Decision.ACCEPTED, "time is up"
    assert judge(seen(*[0.9] * 8), 1.0, last=False, goal=0.95) is Decision.ACCEPTED
    assert judge(seen(*[1.1] * 5), 1.0, last=False, goal=0.95) is Decision.SLOWER


def test_a_goal_is_measured_on_for_without_a_gate_too() -> None:
    near = [*[0.92] * 4, 0.97]

    assert judge(seen(*near), 0, last=False) is Decision.ACCEPTED
    assert judge(seen(*near), 0, last=False, goal=0.95) is None
    assert judge(seen(*near, 0.92, 0.92), 0, last=False, goal=0.95) is None, "no look between looks"
    assert judge(seen(*near, *[0.92] * 3), 0, last=False, goal=0.95) is Decision.ACCEPTED


@pytest.mark.parametrize("limit", [0.0, 1.02])
def test_the_first_look_ends_the_proof_of_a_gain_only_where_it_is_clear(limit: float) -> None:
    def first_look(*ratios: float) -> Decision | None:
        return judge(seen(*ratios), limit, last=False, goal=0.95)

    assert first_look(*[0.94] * 4, 0.949) is None, "all below, but no further than they lie apart"
    assert first_look(0.93, 0.94, *[0.96] * 3) is None, "the median is above, and may come down"
    assert first_look(*[0.9] * 4, 0.91) is Decision.ACCEPTED, "gained"
    assert first_look(*[0.96] * 5) is Decision.ACCEPTED, "not gained"


@pytest.mark.parametrize(("goal", "least", "most"), [(0.0, 0.0, 0.75), (0.95, 0.93, 1.0)])
def test_how_often_a_gain_of_time_is_proved_that_is_there(goal: float, least: float, most: float) -> None:
    """7 % faster, 5 % to prove, process ratios that spread 2 %."""
    draws = np.random.default_rng(0).normal(0.93, 0.02, (400, looks()[-1]))

    reached = []
    for ratios in draws:
        ended = next(n for n in looks() if judge(seen(*ratios[:n]), 1.02, last=n == looks()[-1], goal=goal) is not None)
        reached.append(summarise(Decision.ACCEPTED, seen(*ratios[:ended]), FLOAT).ratio_p50_upper <= 0.95)

    assert least <= sum(reached) / len(reached) <= most


def test_one_of_two_that_are_asked_proves_at_97_5_percent() -> None:
    shared = partial(judge, limit=1.0, confidence=SHARED_CONFIDENCE)

    assert looks(SHARED_CONFIDENCE) == (6, 9, 16, 24)
    assert shared(seen(*[2.0] * 5), last=False) is None
    assert shared(seen(*[2.0] * 6), last=False) is Decision.SLOWER
    assert shared(seen(*[0.9] * 5), last=False) is None
    assert shared(seen(*[0.9] * 6), last=False) is Decision.ACCEPTED
    assert shared(seen(*[0.9] * 8, 1.5), last=False) is Decision.ACCEPTED
    assert shared(seen(*[0.9] * 7, 1.5, 1.5), last=False) is None
    assert shared(seen(*[0.5] * 8), last=True) is Decision.INCONCLUSIVE
    ratios = [1.0 + number / 100 for number in range(9)]
    found = summarise(Decision.ACCEPTED, seen(*ratios), FLOAT, confidence=SHARED_CONFIDENCE)
    assert (found.ratio_p50_lower, found.ratio_p50_upper, found.confidence) == (ratios[1], ratios[7], SHARED_CONFIDENCE)


@pytest.mark.parametrize("candidates", [1, 2, 3, 5])
def test_however_many_lie_at_the_limit_about_one_search_in_fourteen_accepts_one(candidates: int) -> None:
    """Asked in turn at 95 %, five of them would be accepted in a third of all searches."""
    assert error(raced, candidates, repeats=1000) <= 0.09


def test_a_race_that_counts_in_the_proof_or_proofs_in_turn_would_err_more_often() -> None:
    assert error(in_turn, 5, repeats=1000) > 0.25
    assert error(partial(raced, fresh=False), 5, repeats=1000) > 0.1


def simulate(mean: float, repeats: int = 1500) -> dict[Decision, float]:
    """Shares of decisions about limit 1 where process ratios are normal with standard deviation 0.01."""
    counts = dict.fromkeys(Decision, 0)
    for draws in np.random.default_rng(7).normal(mean, 0.01, (repeats, 24)):
        observations = seen(*draws)
        found = next(
            decision
            for count in (5, 8, 16, 24)
            if (decision := judge(observations[:count], 1.0, last=count == 24)) is not None
        )
        counts[found] += 1
    return {decision: count / repeats for decision, count in counts.items()}


def test_the_first_look_hardly_adds_to_the_chances_to_be_wrong() -> None:
    """What five ratios around the limit would have to look like is rare; of any that all lie below it 3 % do."""
    draws = np.random.default_rng(3).normal(1.0, 0.01, (4000, 5))

    accepted = sum(judge(seen(*five), 1.0, last=False) is Decision.ACCEPTED for five in draws)

    assert accepted / len(draws) <= 0.003


def test_how_often_the_looks_err() -> None:
    at_the_limit, slower, faster = simulate(1.0), simulate(1.005), simulate(0.99)

    assert at_the_limit[Decision.ACCEPTED] <= 0.10
    assert at_the_limit[Decision.SLOWER] <= 0.11
    assert slower[Decision.ACCEPTED] <= 0.004
    assert faster[Decision.ACCEPTED] >= 0.95


def test_summary_of_known_numbers() -> None:
    one = Observation([1.0, 1.0, 3.0], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [4.0])

    told = summarise(Decision.SLOWER, [one] * 5, Served("m", "onnxruntime"))

    assert (told.ratio_p50, told.ratio_p50_same_runtime, told.noise) == (2.0, 0.5, 0.0)
    assert (told.reference.p50_ms, told.target.p99_ms) == (1.0, 2.0)
    assert "2 times as slow" in told.message
    assert summarise(Decision.INCONCLUSIVE, [one] * 4, Served("m", "onnxruntime")).ratio_p50_upper == math.inf


# -- real processes, real models


def write_model(path: Path, layers: int, size: int = 256) -> str:
    """A chain of ``layers`` products of [1, size] by [size, size]; input ``x``."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.normal(0, size**-0.5, (size, size)).astype(np.float32), f"w{i}")
        for i in range(layers)
    ]
    names = ["x", *(f"h{i}" for i in range(layers - 1)), "y"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(layers)],
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, size])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latency")
    write_model(folder / "small.onnx", 1)
    write_model(folder / "large.onnx", 24)
    write_feeds(folder / "feeds.npz", {"x": np.ones((1, 256), np.float32)})
    return folder


def test_a_much_larger_model_is_slower_and_a_smaller_one_faster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "LONGEST_S", 0.0)  # a busy machine is not given more than the eight processes
    small, large = Served(str(folder / "small.onnx"), "onnxruntime"), Served(str(folder / "large.onnx"), "onnxruntime")
    counts: list[int] = []

    worse = compare(small, large, folder / "feeds.npz", limit=1.0, on_process=counts.append, root=folder)
    better = compare(large, small, folder / "feeds.npz", limit=0, root=folder)

    assert worse.ratio_p50 > 1 > better.ratio_p50
    assert worse.decision in (Decision.SLOWER, Decision.NOISY)
    assert counts == list(range(1, worse.processes + 1))
    assert (better.decision, better.processes) == (Decision.ACCEPTED, 5)
    assert 0 < better.target.p50_ms <= better.target.p95_ms <= better.target.p99_ms
    assert better.ratio_p50_same_runtime == pytest.approx(better.ratio_p50)


def test_float_served_like_the_target_is_measured_beside_the_fastest(folder: Path) -> None:
    small, large = (
        Served(str(folder / "small.onnx"), "onnxruntime"),
        Served(str(folder / "large.onnx"), "onnxruntime", threads=2),
    )

    screened = screen([small, large], folder / "feeds.npz", processes=2)
    told = compare(small, large, folder / "feeds.npz", limit=0, same=large, root=folder)

    assert screened[0].times.p50_ms < screened[1].times.p50_ms
    assert screened[1].ratio(screened[0]) > 2
    assert [len(one.p50s_ms) for one in screened] == [2, 2]
    assert told.served == small
    assert told.ratio_p50 > 2 * told.ratio_p50_same_runtime  # the target's own kind of float is as slow as the target


def test_a_tolerant_screening_times_the_others_and_says_what_is_wrong_with_one(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    served = [Served(str(path), "onnxruntime") for path in (folder / "small.onnx", broken, folder / "large.onnx")]

    small, refused, large = screen(served, folder / "feeds.npz", processes=2, tolerant=True)

    assert isinstance(refused, ModelError)
    assert refused.code == "model_unreadable"
    assert isinstance(small, Screened)
    assert isinstance(large, Screened)
    assert large.ratio(small) > 1.5
    with pytest.raises(ModelError, match="model_unreadable"):
        screen(served, folder / "feeds.npz")
    with pytest.raises(ModelError, match="model_unreadable"):
        screen([served[0], *served], folder / "feeds.npz", most_bytes=1, tolerant=True)


def test_each_model_is_loaded_first_in_its_turn_and_keeps_its_times(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = (Served(str(folder / f"{size}.onnx"), "onnxruntime") for size in ("small", "large"))
    orders: list[list[Served]] = []

    def spied(request: Request) -> Answer:
        orders.append(request.models)
        return ask(request)

    monkeypatch.setattr(Probes, "ask", lambda _, request: spied(request))

    told = compare(small, large, folder / "feeds.npz", limit=0, root=folder)

    assert orders[:3] == [[small, small, large], [small, large, small], [large, small, small]]
    assert told.ratio_p50 > 1.5
    assert told.noise < 0.5


@pytest.mark.children(covered=False)  # coverage reads its settings with tomllib
def test_a_probe_holds_the_runtime_and_nothing_heavier(folder: Path) -> None:
    script = (
        "import sys, atexit; from edge_agent.worker.measure import probe\n"
        "atexit.register(lambda: print(','.join({m.partition('.')[0] for m in sys.modules}"
        " & {'onnx', 'onnxruntime', 'google', 'scipy', 'msgspec', 'subprocess', 'tomllib'}), file=sys.stderr))\n"
        "probe.main([]); sys.exit(9)"
    )
    ended = asking.Child(
        [python_child("x")[0], "-c", script],
        limits=asking.ChildLimits(timeout_s=60),
        stdin=msgspec.json.encode(
            Request(
                feeds=str(folder / "feeds.npz"), models=[Served(str(folder / "small.onnx"), "onnxruntime")], rounds=1
            )
        ),
    ).wait()

    assert ended.stderr_tail.split() == ["onnxruntime"]


def test_rounds_are_bounded_by_number_and_by_time(folder: Path) -> None:
    models = [Served(str(folder / "small.onnx"), "onnxruntime")] * 3
    few = ask(Request(feeds=str(folder / "feeds.npz"), models=models, rounds=7, min_rounds=1, seconds=60))
    short = ask(Request(feeds=str(folder / "feeds.npz"), models=models, rounds=10**6, min_rounds=20, seconds=0))

    assert [len(times) for times in few.times_ms] == [7, 7, 7]
    assert [len(times) for times in short.times_ms] == [20, 20, 20]
    assert all(value > 0 for times in few.times_ms for value in times)


def test_a_model_takes_memory_and_an_empty_runtime_less(folder: Path, tmp_path: Path) -> None:
    large = Served(write_model(tmp_path / "wide.onnx", 4, 2048), "onnxruntime")  # 64 MiB of weights
    write_feeds(tmp_path / "feeds.npz", {"x": np.ones((1, 2048), np.float32)})

    empty = ask(Request(feeds=str(tmp_path / "feeds.npz"), runtime="onnxruntime"))
    loaded = ask(Request(feeds=str(tmp_path / "feeds.npz"), models=[large], rounds=1))

    assert empty.times_ms == []
    assert loaded.peak_rss_bytes - loaded.empty_rss_bytes > 60 * 2**20
    assert loaded.empty_rss_bytes == pytest.approx(empty.peak_rss_bytes, abs=4 << 20), "the runtime, and no model"


def test_what_goes_wrong_in_a_probe_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")

    with pytest.raises(ModelError) as broken:
        ask(Request(feeds=str(folder / "feeds.npz"), models=[Served(str(tmp_path / "broken.onnx"), "onnxruntime")]))
    with pytest.raises(ModelError) as unknown:
        ask(Request(feeds=str(folder / "feeds.npz"), models=[Served("m.onnx", runtime="abacus")]))
    with pytest.raises(StageError) as lost:
        ask(Request(feeds=str(tmp_path / "missing.npz"), models=[Served(str(folder / "small.onnx"), "onnxruntime")]))

    assert broken.value.code == "model_unreadable"
    assert "abacus" in unknown.value.message
    assert "missing.npz" in lost.value.message


def test_a_tolerant_probe_leaves_out_what_cannot_be_served_and_tells_of_it(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    models = [Served(str(path), "onnxruntime") for path in (broken, folder / "small.onnx", broken)]

    answer = ask(Request(feeds=str(folder / "feeds.npz"), models=models, rounds=2, min_rounds=2, tolerant=True))

    assert [(one.place, one.code) for one in answer.refused] == [(0, "model_unreadable"), (2, "model_unreadable")]
    assert [len(times) for times in answer.times_ms] == [2]


@pytest.mark.parametrize(
    ("script", "timeout_s", "error", "code"),
    [
        (f"import sys; sys.exit({EXIT_OUT_OF_MEMORY})", 60.0, LimitError, "out_of_memory"),
        ("import time; time.sleep(1000)", 0.5, LimitError, "stage_timeout"),
        ("import os; os.kill(os.getpid(), 11)", 60.0, StageError, "stage_crashed"),
    ],
)
def test_a_probe_that_dies(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    timeout_s: float,
    error: type[LimitError | StageError],
    code: str,
) -> None:
    monkeypatch.setattr(asking, "python_child", lambda *_: [python_child("x")[0], "-c", script])
    monkeypatch.setattr(asking, "TIMEOUT_S", timeout_s)

    with pytest.raises(error) as caught:
        ask(Request(feeds=str(folder / "feeds.npz"), runtime="onnxruntime"))

    assert caught.value.code == code


def test_an_input_may_have_any_name(tmp_path: Path) -> None:
    feeds = {"file": np.ones(1, np.float32), "a/b:0": np.zeros((2, 3), np.int64)}

    write_feeds(tmp_path / "feeds.npz", feeds)

    with np.load(tmp_path / "feeds.npz") as arrays:
        assert sorted(arrays.files) == ["a/b:0", "file"]
        assert arrays["a/b:0"].dtype == np.int64


# -- what compare does with its processes, without starting any


def scripted(monkeypatch: pytest.MonkeyPatch, answers: Iterator[list[list[float]] | LimitError]) -> list[Request]:
    """Answers in the order of the models that were to be compared; each process is asked beginning with another."""
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        found = next(answers)
        if isinstance(found, LimitError):
            raise found
        first = (len(asked) - 1) % len(found)
        return Answer(times_ms=[*found[first:], *found[:first]])

    monkeypatch.setattr(Probes, "ask", lambda _, request: answer(request))
    return asked


def test_models_that_do_not_fit_together_are_measured_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def answers() -> Iterator[list[list[float]] | LimitError]:
        yield LimitError("out_of_memory", "too large")
        while True:
            yield from ([[2.0]], [[2.0]], [[1.0]])

    asked = scripted(monkeypatch, answers())

    told = compare(FLOAT, INT8, tmp_path / "f.npz", limit=1.0, root=tmp_path)

    assert (told.decision, told.ratio_p50, told.processes) == (Decision.ACCEPTED, 0.5, 5)
    assert [len(request.models) for request in asked] == [3] + [1] * 15


def test_screening_too_measures_apart_what_does_not_fit_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = scripted(monkeypatch, iter([LimitError("out_of_memory", "too large"), [[2.0]], [[1.0]]]))

    screened = screen([FLOAT, INT8], tmp_path / "f.npz")

    assert [one.times.p50_ms for one in screened] == [2.0, 1.0]
    assert [len(request.models) for request in asked] == [2, 1, 1]


def test_a_screening_takes_the_median_of_its_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = scripted(monkeypatch, iter([[[2.0], [1.0]], [[4.0], [8.0]], [[2.0], [1.2]]]))

    reference, target = screen([FLOAT, INT8], tmp_path / "f.npz")

    assert target.ratio(reference) == pytest.approx(0.6)
    assert len(asked) == 3


def test_other_limits_are_not_a_matter_of_fitting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripted(monkeypatch, iter([LimitError("stage_timeout", "too slow")]))

    with pytest.raises(LimitError, match="stage_timeout"):
        compare(FLOAT, INT8, tmp_path / "f.npz", limit=1.0, root=tmp_path)


def test_processes_on_a_throttled_device_are_void(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripted(monkeypatch, iter([[[2.0], [2.0], [1.0]]] * 24))
    looks = iter([Throttling((), 0), Throttling(("undervoltage",), 0)])
    monkeypatch.setattr(comparison.throttling, "throttling", lambda _root: next(looks, Throttling((), 0)))

    told = compare(FLOAT, INT8, tmp_path / "f.npz", limit=1.0, root=tmp_path)

    assert (told.decision, told.processes, told.throttled) == (Decision.ACCEPTED, 5, 1)
    assert told.throttle_reasons == ("undervoltage",)


def test_a_device_that_always_throttles_proves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripted(monkeypatch, iter([[[2.0], [2.0], [1.0]]] * 24))
    monkeypatch.setattr(comparison.throttling, "throttling", lambda _root: Throttling(("throttled",), 0))

    told = compare(FLOAT, INT8, tmp_path / "f.npz", limit=1.0, root=tmp_path)

    assert (told.decision, told.throttled) == (Decision.INCONCLUSIVE, 24)
    assert "throttled" in told.message
    assert (told.ratio_p50, told.ratio_p50_upper, told.ratio_p50_lower) == (0.5, math.inf, -math.inf)


def test_a_proof_at_97_5_percent_takes_a_process_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = scripted(monkeypatch, iter([[[2.0], [2.0], [1.0]]] * 24))

    told = compare(FLOAT, INT8, tmp_path / "f.npz", limit=1.0, confidence=SHARED_CONFIDENCE, root=tmp_path)

    assert (told.decision, told.processes, len(asked)) == (Decision.ACCEPTED, 6, 6)


def test_no_process_is_started_after_a_minute_but_eight_there_must_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch, iter([[[1.0], [1.0], [ratio]] for ratio in [0.9, 1.1] * 12]))
    monkeypatch.setattr(comparison, "LONGEST_S", 0.0)

    told = compare(FLOAT, INT8, tmp_path / "f.npz", limit=1.0, root=tmp_path)

    assert (told.decision, told.processes) == (Decision.INCONCLUSIVE, 8)
