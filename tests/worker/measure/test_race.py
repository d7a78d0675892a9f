"""A race of several candidates: what it does with its processes, and one real one."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import onnx
import pytest
from bench.networks import conv_stack
from bench.race_length import simulated

from edge_agent.worker.measure import race
from edge_agent.worker.measure.asking import Probes
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.question import Answer, Request, Served

FLOAT, ONE, OTHER = (Served(name, "onnxruntime") for name in ("float", "one", "other"))
MARGIN = 0.02


def scripted(monkeypatch: pytest.MonkeyPatch, ratios: Iterator[tuple[float, float]]) -> list[Request]:
    """Processes in which ``one`` and ``other`` take such parts of float's time, each slower than the one before."""
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        times = dict(zip(("one", "other"), next(ratios), strict=True)) | {"float": 1.0}
        return Answer(times_ms=[[times[served.path] * len(asked)] for served in request.models])

    monkeypatch.setattr(Probes, "ask", lambda _, request: answer(request))
    return asked


def test_what_is_steady_takes_the_fewest_processes_and_each_holds_float_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = scripted(monkeypatch, iter([(0.5, 0.6)] * 99))
    counts: list[int] = []

    one, other = race.race(FLOAT, [ONE, OTHER], tmp_path, margin=MARGIN, on_process=counts.append)

    assert (one.ratio, other.ratio, one.error) == pytest.approx((0.5, 0.6, 0.0))
    assert counts == list(range(1, race.FEWEST + 1))
    assert all(
        sorted(served.path for served in request.models) == ["float", "float", "one", "other"] for request in asked
    )
    assert all(request.warmed for request in asked)
    assert [request.models[0] for request in asked[:4]] == [FLOAT, FLOAT, ONE, OTHER]


def test_what_spreads_is_raced_on_and_the_error_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = scripted(monkeypatch, ((0.5, 0.6 + 0.05 * (number % 3)) for number in count()))

    one, other = race.race(FLOAT, [ONE, OTHER], tmp_path, margin=MARGIN)

    assert len(asked) == race.MOST
    assert one.error == pytest.approx(0.0)
    assert 0.005 < other.error < 0.05
    assert other.ratio == pytest.approx(0.65)


def test_what_is_decided_is_raced_no_further(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = scripted(monkeypatch, ((0.5, 0.6 + 0.05 * (number % 3)) for number in count()))
    told: list[list[tuple[float, ...]]] = []

    def decided(found: Sequence[race.Raced]) -> bool:
        told.append([one.ratios for one in found])
        return len(told) > 1

    one, other = race.race(FLOAT, [ONE, OTHER], tmp_path, margin=MARGIN, decided=decided)

    assert len(asked) == race.EARLIEST + 1
    assert told[0] == [pytest.approx((0.5, 0.5, 0.5, 0.5)), pytest.approx((0.6, 0.65, 0.7, 0.6))]
    assert (one.ratio, other.ratio) == pytest.approx((0.5, 0.65))


def test_a_process_that_is_far_off_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = scripted(monkeypatch, iter([(0.5, 0.6), (5.0, 6.0), *[(0.5, 0.6)] * 99]))

    one, _ = race.race(FLOAT, [ONE, OTHER], tmp_path, margin=MARGIN)

    assert one.ratio == pytest.approx(0.5)
    assert len(asked) == race.FEWEST


def test_no_process_is_started_when_time_is_up_but_the_fewest_there_must_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = scripted(monkeypatch, ((0.5, 0.6 + 0.1 * (number % 2)) for number in count()))
    monkeypatch.setattr(race, "LONGEST_S", 0.0)

    race.race(FLOAT, [ONE, OTHER], tmp_path, margin=MARGIN)

    assert len(asked) == race.FEWEST


def test_where_memory_forbids_processes_with_float_and_some_take_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ratios = {"one": 0.5, "other": 0.6, "float": 1.0}
    asked: list[list[str]] = []

    def answer(request: Request) -> Answer:
        asked.append([served.path for served in request.models])
        return Answer(times_ms=[[ratios[served.path] * len(asked)] for served in request.models[: request.fewest]])

    monkeypatch.setattr(Probes, "ask", lambda _, request: answer(request))

    one, other = race.race(FLOAT, [ONE, OTHER], tmp_path, margin=MARGIN, most_bytes=1)

    assert (one.ratio, other.ratio) == pytest.approx((0.5, 0.6))
    assert asked[:3] == [
        ["float", "float", "one", "other"],
        ["float", "float", "other"],
        ["float", "float", "one", "other"],
    ]
    assert len(asked) == 2 * race.FEWEST


@pytest.mark.parametrize(("processes", "fewest"), [(4, 4), (5, 5), (6, 6), (7, 6), (8, 7), (15, 11)])
def test_of_few_processes_one_has_to_win_in_all_and_of_more_in_most(processes: int, fewest: int) -> None:
    assert [race.wins(won, processes) for won in (fewest - 1, fewest)] == [False, True]


@pytest.mark.parametrize(("spread", "away"), [(0.01, 0.015), (0.02, 0.03)])
def test_what_is_decided_early_is_seldom_decided_wrong(spread: float, away: float) -> None:
    """Of the longer races of before 1 % are wrong there, too."""
    wrong, processes = simulated(spread, away, decided=True, repeats=400)
    _, before = simulated(spread, away, decided=False, repeats=100)

    assert wrong <= 0.03
    assert processes < 0.75 * before


def test_a_race_is_expected_to_take_longer_the_slower_the_calls_and_the_more_there_are() -> None:
    assert race.expected_s(1.0, 3) > race.expected_s(0.1, 3) > race.expected_s(0.1, 2)
    assert race.expected_s(1000.0, 3) == pytest.approx(race.FEWEST * 5 * 4.0)


@pytest.mark.children(covered=False)
def test_real_models_come_in_the_order_of_their_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "LONGEST_S", 0.0)  # a busy machine is not given more than the fewest
    served = {}
    for layers in (4, 8, 12):
        path = tmp_path / f"{layers}.onnx"
        onnx.save(conv_stack((8, 24, 24), [8] * layers, [1] * layers), path)
        served[layers] = Served(str(path), "onnxruntime")
    write_feeds(tmp_path / "feeds.npz", {"x": np.ones((1, 8, 24, 24), np.float32)})

    few, many = race.race(served[8], [served[4], served[12]], tmp_path / "feeds.npz", margin=MARGIN)

    assert few.ratio < 0.8
    assert many.ratio > 1.2
    assert few.times.p50_ms < many.times.p50_ms
