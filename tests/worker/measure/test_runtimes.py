import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge_agent.backends import Backend
from edge_agent.errors import ModelError, StageError
from edge_agent.worker.measure import runtimes as module
from edge_agent.worker.measure.question import Answer, Request
from edge_agent.worker.measure.runtimes import ServingOption, serving_options, usable

CORES = len(os.sched_getaffinity(0))


def format_with(*runtimes: str, tools: tuple[str, ...] = ("json",)) -> Backend:
    return cast("Backend", SimpleNamespace(RUNTIMES=runtimes, TOOLS=tools, SUFFIX=".x"))


def device_with(monkeypatch: pytest.MonkeyPatch, **runtimes: Exception | None) -> None:
    """A device on which importing a runtime ends so."""

    def ask(request: Request) -> Answer:
        error = runtimes[request.runtime]
        if error is not None:
            raise error
        return Answer()

    monkeypatch.setattr(module, "ask", ask)


MISSING = ModelError("format_unsupported", "two needs the package two")
CRASH = StageError("stage_crashed", "a measurement was killed by SIGILL")


@pytest.mark.parametrize(
    ("one", "two", "works", "said"),
    [
        (None, None, ["one", "two"], ""),
        (MISSING, None, ["two"], ""),
        (CRASH, None, ["two"], "one is left out; it does not work on this device: a measurement was killed by SIGILL"),
    ],
)
def test_a_runtime_that_is_missing_or_crashes_is_left_out(
    monkeypatch: pytest.MonkeyPatch, one: Any, two: Any, works: list[str], said: str
) -> None:
    device_with(monkeypatch, one=one, two=two)

    assert usable(format_with("one", "two")) == (works, [said] if said else [])


def test_without_any_runtime_it_is_told_what_each_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    device_with(monkeypatch, one=CRASH, two=MISSING)

    with pytest.raises(ModelError, match=r"no runtime for \.x models works .* one: .*SIGILL; two: .*needs") as caught:
        usable(format_with("one", "two"))

    assert caught.value.code == "format_unsupported"


def test_without_a_package_that_writes_models_runtimes_are_of_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    device_with(monkeypatch, one=None, two=None)

    with pytest.raises(ModelError, match=r"needs no-such and neither; install the extra device: ") as caught:
        usable(format_with("one", "two", tools=("json", "no_such", "neither")))

    assert caught.value.code == "format_unsupported"


def test_the_only_runtime_of_a_format_needs_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    device_with(monkeypatch, one=CRASH)

    assert usable(format_with("one")) == (["one"], [])


def test_every_runtime_is_tried_with_every_count_the_fewest_threads_first() -> None:
    assert serving_options(["a", "b"], (1,)) == ([ServingOption("a", 1), ServingOption("b", 1)], [])


def test_more_threads_than_cores_are_not_tried_and_it_is_said() -> None:
    found, warnings = serving_options(["a"], (1, CORES + 3))

    assert found == [ServingOption("a", 1)]
    assert warnings == [f"threads = [{CORES + 3}]: not tried because this device has {CORES} cores"]
    assert serving_options(["a"], (CORES + 3,))[0] == [ServingOption("a", CORES)]
