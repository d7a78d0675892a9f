from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.worker.measure.comparison import Screened
from edge_agent.worker.measure.latency import Percentiles
from edge_agent.worker.measure.question import Answer, Refused, Request, Served
from edge_agent.worker.measure.runtimes import ServingOption
from edge_agent.worker.search import screening as module
from edge_agent.worker.search.screening import Screening, Speed

FLOAT = Path("float")
ONE, TWO = ServingOption("one", 1), ServingOption("two", 1)
FEEDS = Path("feeds.npz")


class Device:
    """Milliseconds by (file, runtime), and how files end that cannot be served there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ms: dict[tuple[str, str], float | Exception]) -> None:
        self.ms = ms
        self.processes = 0
        self.fit = 100
        """How many models one process holds, if it is told what they may take."""
        monkeypatch.setattr(module, "screen", self.screen)
        monkeypatch.setattr(module, "ask", self.ask)

    def screen(
        self, models: Sequence[Served], _feeds: Path, *, seconds: float, tolerant: bool, **_: int
    ) -> list[Screened | ModelError]:
        self.processes += 1
        in_time = models if seconds > 0 else models[: self.fit]
        return [self._screened(one, tolerant=tolerant and len(models) <= self.fit) for one in in_time]

    def _screened(self, served: Served, *, tolerant: bool) -> Screened | ModelError:
        try:
            ms = self._of(served)
        except ModelError as error:
            if tolerant:
                return error
            raise
        return Screened(Percentiles(ms, ms, ms), (ms,))

    def ask(self, request: Request) -> Answer:
        self.processes += 1
        called = request.models[: self.fit] if request.most_bytes else request.models
        times: list[list[float]] = []
        refused: list[Refused] = []
        for place, model in enumerate(called):
            try:
                times.append([self._of(model)])
            except ModelError as error:
                assert request.tolerant
                refused.append(Refused(place, error.code, error.message))
        return Answer(times_ms=times, refused=refused)

    def _of(self, served: Served) -> float:
        ms = self.ms[served.path, served.runtime]
        if isinstance(ms, Exception):
            raise ms
        return ms


def test_each_is_served_where_it_is_fastest_and_held_against_the_fastest_float(monkeypatch: pytest.MonkeyPatch) -> None:
    ms: dict[tuple[str, str], Any] = {
        ("float", "one"): 2.0,
        ("float", "two"): 1.0,
        ("a", "one"): 0.5,
        ("a", "two"): 4.0,
    }
    device = Device(monkeypatch, ms)
    screening = Screening(FLOAT, FEEDS, [ONE, TWO])

    assert screening([Path("a")]) == [Speed(ONE, Percentiles(0.5, 0.5, 0.5), 0.5, 0.25)]
    assert (screening.float_option, screening.float_times) == (TWO, Percentiles(1.0, 1.0, 1.0))
    assert device.processes == 1


def test_among_equals_the_preferred_way_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    ms: dict[tuple[str, str], Any] = {
        ("float", "one"): 1.02,
        ("float", "two"): 1.0,
        ("a", "one"): 0.51,
        ("a", "two"): 0.5,
    }
    Device(monkeypatch, ms)
    screening = Screening(FLOAT, FEEDS, [ONE, TWO])

    [speed] = screening([Path("a")])

    assert isinstance(speed, Speed)
    assert speed.option == screening.float_option == ONE


def test_float_stays_the_reference_of_its_first_screening(monkeypatch: pytest.MonkeyPatch) -> None:
    ms: dict[tuple[str, str], Any] = {
        ("float", "one"): 2.0,
        ("float", "two"): 1.0,
        ("a", "one"): 1.0,
        ("a", "two"): 1.0,
    }
    device = Device(monkeypatch, ms)
    screening = Screening(FLOAT, FEEDS, [ONE, TWO])
    screening([Path("a")])
    device.ms["float", "one"] = 0.5

    [speed] = screening([Path("a")])

    assert screening.float_option == TWO
    assert isinstance(speed, Speed)
    assert speed.ratio == 1.0


def test_a_file_that_one_runtime_refuses_is_served_by_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = ModelError("custom_operator", "one lacks an operator")
    ms: dict[tuple[str, str], Any] = {(name, runtime): 1.0 for name in ("float", *"abc") for runtime in ("one", "two")}
    Device(monkeypatch, ms | {("b", "one"): refusal})

    found = Screening(FLOAT, FEEDS, [ONE, TWO])([Path(name) for name in "abc"])

    options = [speed.option for speed in found if isinstance(speed, Speed)]
    assert options == [ONE, TWO, ONE]


def test_what_crashes_or_is_refused_everywhere_is_told_and_the_rest_is_screened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ms: dict[tuple[str, str], Any] = {(name, "one"): 1.0 for name in ("float", *"abcdefgh")}
    ms |= {
        ("c", "one"): StageError("stage_crashed", "killed by SIGSEGV"),
        ("g", "one"): ModelError("model_unsupported", "no; export it again"),
    }
    device = Device(monkeypatch, ms)

    found = Screening(FLOAT, FEEDS, [ONE])([Path(name) for name in "abcdefgh"])

    broken = {name: one for name, one in zip("abcdefgh", found, strict=True) if isinstance(one, ModelError)}
    assert {name: one.code for name, one in broken.items()} == {"c": "rewrite_invalid", "g": "model_unsupported"}
    assert "crashes on the int8 model: killed by SIGSEGV" in broken["c"].message
    assert device.processes < 2 + 15  # two screenings, and fewer looks than a look at each and at each half


def test_what_one_runtime_refuses_is_found_at_once_and_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ms: dict[tuple[str, str], Any] = {
        (name, runtime): 1.0 for name in ("float", *"abcdefgh") for runtime in ("one", "two")
    }
    device = Device(
        monkeypatch, ms | {(name, "two"): ModelError("model_unsupported", "no; export it again") for name in "abcdefgh"}
    )
    screening = Screening(FLOAT, FEEDS, [ONE, TWO])

    screening([Path(name) for name in "abcdefgh"])

    assert device.processes == 1
    screening([Path("a"), Path("b")])
    assert device.processes == 2


def test_who_is_refused_is_looked_for_where_a_screening_takes_several_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ms: dict[tuple[str, str], Any] = {(name, "one"): 1.0 for name in ("float", *"abcd")}
    device = Device(monkeypatch, ms | {("b", "one"): ModelError("model_unsupported", "no; export it again")})
    device.fit = 4

    found = Screening(FLOAT, FEEDS, [ONE])([Path(name) for name in "abcd"])

    assert [isinstance(one, ModelError) for one in found] == [False, True, False, False]
    assert device.processes == 3  # a screening that fails, a look at all, and the screening of what is left


def test_who_is_to_blame_is_looked_for_in_groups_that_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    ms: dict[tuple[str, str], Any] = {(name, "one"): 1.0 for name in ("float", *"abcdefgh")}
    device = Device(monkeypatch, ms | {("g", "one"): StageError("stage_crashed", "killed by SIGSEGV")})
    device.fit = 3
    asked: list[Request] = []
    monkeypatch.setattr(module, "ask", lambda request: (asked.append(request), device.ask(request))[1])

    found = Screening(FLOAT, FEEDS, [ONE], 512 << 20)([Path(name) for name in "abcdefgh"])

    assert [isinstance(one, ModelError) for one in found] == [name == "g" for name in "abcdefgh"]
    assert {request.most_bytes for request in asked} == {256 << 20}
    assert {request.fewest for request in asked} == {1}


def test_what_there_was_no_time_for_has_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    ms: dict[tuple[str, str], Any] = {(name, "one"): 1.0 for name in ("float", *"abc")}
    device = Device(monkeypatch, ms | {("a", "one"): ModelError("model_unsupported", "no; export it again")})
    device.fit = 2

    found = Screening(FLOAT, FEEDS, [ONE], seconds=0.0)([Path(name) for name in "abc"])

    assert isinstance(found[0], ModelError)
    assert isinstance(found[1], Speed)
    assert found[2] is None


@pytest.mark.parametrize(("memory", "together"), [(0, 512), (512, 256), (16 << 10, 512)])
def test_models_that_are_screened_take_half_of_the_memory_and_never_gigabytes(memory: int, together: int) -> None:
    assert Screening(FLOAT, FEEDS, [ONE], memory << 20).most_bytes == together << 20


def test_where_float_itself_does_not_run_there_is_no_screening(monkeypatch: pytest.MonkeyPatch) -> None:
    Device(monkeypatch, {("float", "one"): ModelError("model_unsupported", "no; export it again"), ("a", "one"): 1.0})

    with pytest.raises(ModelError, match="model_unsupported"):
        Screening(FLOAT, FEEDS, [ONE])([Path("a")])


@pytest.mark.parametrize("code", ["out_of_memory", "stage_timeout"])
def test_what_does_not_fit_or_takes_minutes_is_told_and_the_rest_is_screened(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    full, crash = LimitError(code, "too large"), StageError("stage_crashed", "killed")
    Device(monkeypatch, {("float", "one"): 1.0, ("a", "one"): full, ("b", "one"): crash, ("c", "one"): 0.5})

    large, crashed, sound = Screening(FLOAT, FEEDS, [ONE])([Path("a"), Path("b"), Path("c")])

    assert isinstance(large, ModelError)
    assert (large.code, large.message) == (code, "served alone, too large")
    assert isinstance(crashed, ModelError)
    assert isinstance(sound, Speed)
    assert sound.ratio == 0.5


def test_where_float_itself_does_not_fit_there_is_no_screening(monkeypatch: pytest.MonkeyPatch) -> None:
    Device(monkeypatch, {("float", "one"): LimitError("out_of_memory", "too large"), ("a", "one"): 1.0})

    with pytest.raises(LimitError):
        Screening(FLOAT, FEEDS, [ONE])([Path("a")])
