"""The end of a search: which of its candidates is proved."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_in
from support.finals import FLOAT, MIB, Finals

from edge_agent.errors import LimitError, StageError
from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.wire.manifest import MinGain, Preference
from edge_agent.worker.measure.latency import Decision
from edge_agent.worker.search.freezing import SHARED_CONFIDENCE, Finalist


@pytest.fixture
def finals() -> Finals:
    return Finals()


def names(found: Sequence[Finalist]) -> list[str | None]:
    return [one.item.record.operators for one in found]


def record_of(finals: Finals, name: str) -> MeasuredModel:
    return next(item.record for item in finals.tried if item.record.operators == name)


def test_a_single_structure_is_proved_at_95_percent_and_neither_weighed_nor_raced(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.add("a", 0.5, ranges="mse")
    finals.add("a", 0.5, ranges="minmax")

    assert names(finals.run(tmp_path, monkeypatch)) == ["a"]
    assert finals.asked == [("proof", "a", CONFIDENCE)]


def test_three_are_weighed_and_raced_and_the_winner_alone_is_proved_at_97_5_percent(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, time in (("a", 0.5), ("b", 0.51), ("c", 0.52), ("d", 0.7)):
        finals.add(name, time)
    finals.raced = {"a": 0.55, "b": 0.48, "c": 0.56}

    assert names(finals.run(tmp_path, monkeypatch)) == ["b"]
    assert finals.asked == [
        ("memory", "float", "a", "b", "c"), ("race", "a", "b", "c"), ("proof", "b", SHARED_CONFIDENCE),
    ]  # fmt: skip
    assert record_of(finals, "a").ratio_p50 == 0.55
    assert record_of(finals, "a").preference == pytest.approx(0.5 * math.log(0.55) + 0.25 * math.log(0.3))
    assert record_of(finals, "b").ratio_p50 == 0.9, "of the proof, not of the race"
    assert record_of(finals, "b").preference == pytest.approx(0.5 * math.log(0.48) + 0.25 * math.log(0.3))
    assert record_of(finals, "b").steady_rss_bytes == 40 * MIB
    assert record_of(finals, "d").ratio_p50 == 0.7


def test_what_is_screened_as_far_slower_is_not_raced(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.add("a", 0.5)
    finals.add("b", 0.9)
    finals.prefer = "speed"

    assert names(finals.run(tmp_path, monkeypatch)) == ["a"]
    assert finals.asked == [("proof", "a", SHARED_CONFIDENCE)]


def test_times_within_the_margin_are_one_and_the_fewest_bytes_win(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.prefer = "speed"
    finals.add("fast", 0.500, 400)
    finals.add("small", 0.509, 300)
    finals.add("slow", 0.53, 200)

    assert names(finals.run(tmp_path, monkeypatch)) == ["small"]


@pytest.mark.parametrize(
    ("prefer", "winner"), [("speed", "fast"), ("size", "small"), ("memory", "light"), ("balanced", "light")]
)
def test_the_preference_decides(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefer: Preference, winner: str
) -> None:
    finals.prefer = prefer
    finals.add("fast", 0.5, 400)
    finals.add("small", 0.55, 260)
    finals.add("light", 0.56, 390)
    finals.memory = {"light": 15 * MIB}

    assert names(finals.run(tmp_path, monkeypatch)) == [winner]
    weighed = [one for one in finals.asked if one[0] == "memory"]
    assert bool(weighed) is (prefer in ("memory", "balanced"))


def test_where_two_are_not_accepted_nobody_else_is_asked(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, time in (("a", 0.50), ("b", 0.53), ("c", 0.56)):
        finals.add(name, time)
    finals.proofs = {"a": Decision.INCONCLUSIVE, "b": Decision.SLOWER}

    assert finals.run(tmp_path, monkeypatch) == []
    assert finals.proved == ["a", "b"]


@pytest.mark.parametrize("end", [Decision.SLOWER, Decision.INCONCLUSIVE, Decision.NOISY])
def test_one_successor_is_asked_where_the_winner_is_not_accepted_and_no_more(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Decision
) -> None:
    for name, time in (("a", 0.50), ("b", 0.53), ("c", 0.56)):
        finals.add(name, time)
    finals.proofs = {"a": end}

    assert names(finals.run(tmp_path, monkeypatch)) == ["b"]
    assert finals.proved == ["a", "b"]
    assert record_of(finals, "a").code == str(end)


def test_what_the_race_shows_to_be_too_slow_comes_last_and_is_not_asked_as_a_successor(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.add("small", 1.02, 250)
    finals.add("large", 1.0, 260)
    finals.raced = {"small": 1.05, "large": 1.0}
    finals.proofs = {"large": Decision.INCONCLUSIVE}

    assert finals.run(tmp_path, monkeypatch) == []
    assert finals.proved == ["large"]
    late = record_of(finals, "small")
    assert late.code == "latency_too_high"
    assert "1.05" in (late.message or "")
    assert not next(gate for gate in late.gates if gate.name == "max_latency_ratio").passed


def test_a_screening_that_was_too_high_is_corrected_by_the_race(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.add("a", 1.04, 250)
    finals.add("b", 1.03, 260)
    finals.raced = {"a": 0.98, "b": 1.01}
    finals.tried = [
        replace(item, record=replace_in(item.record, code="latency_too_high", message="1.04 times"))
        for item in finals.tried
    ]

    assert names(finals.run(tmp_path, monkeypatch)) == ["a"]
    assert record_of(finals, "b").code is None


def test_memory_may_be_all_that_is_gained(finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finals.prefer = "speed"
    finals.add("nothing", 0.96, 900)
    finals.add("light", 1.0, 950)
    finals.memory = {"light": 20 * MIB}

    assert names(finals.run(tmp_path, monkeypatch)) == ["light"]


def test_what_gains_nothing_is_asked_where_nothing_else_is_left(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.add("useless", 0.97, 990)
    finals.add("small", 1.0, 260)

    assert names(finals.run(tmp_path, monkeypatch)) == ["small"]

    alone = Finals()
    alone.add("useless", 0.97, 990)
    assert names(alone.run(tmp_path, monkeypatch)) == ["useless"]


@pytest.mark.parametrize(("end", "found"), [(Decision.ACCEPTED, ["small"]), (Decision.INCONCLUSIVE, ["quick"])])
def test_a_winner_whose_gain_was_luck_gives_way_to_a_successor_that_gains(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Decision, found: list[str]
) -> None:
    finals.prefer = "speed"
    finals.add("quick", 0.90, 990)
    finals.add("useless", 0.97, 990)
    finals.add("small", 1.0, 260)
    finals.proofs = {"small": end}

    assert names(finals.run(tmp_path, monkeypatch)) == found
    assert finals.proved == ["quick", "small"]


@pytest.mark.parametrize(("prefer", "proved"), [("balanced", ["small"]), ("size", ["small", "useless"])])
def test_where_one_that_gains_is_refused_nothing_that_is_known_to_gain_nothing_follows(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefer: Preference, proved: list[str]
) -> None:
    """The job ended as no_gain then, and said to keep float. Memory is weighed where it is preferred."""
    finals.prefer = prefer
    finals.add("small", 1.0, 260)
    finals.add("useless", 0.97, 990)
    finals.proofs = {"small": Decision.INCONCLUSIVE}

    finals.run(tmp_path, monkeypatch)

    assert finals.proved == proved


def test_what_gains_memory_alone_needs_no_successor(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.prefer = "memory"
    finals.add("light", 1.0, 950)
    finals.add("small", 1.0, 260)
    finals.memory = {"light": 20 * MIB}

    assert names(finals.run(tmp_path, monkeypatch)) == ["light"]
    assert finals.proved == ["light"]


@pytest.mark.parametrize(
    ("size", "asked", "goal"),
    [
        (990, MinGain(), 0.95),
        (260, MinGain(), 0.0),
        (260, MinGain(time=0.1, size=0.0), 0.9),
        (990, MinGain(time=0.0), 0.0),
    ],
)
def test_a_gain_of_time_is_sought_where_it_may_be_all(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, asked: MinGain, goal: float
) -> None:
    finals.min_gain = asked
    finals.add("a", 0.9, size)

    finals.run(tmp_path, monkeypatch)

    assert finals.goals == {"a": pytest.approx(goal)}


def test_over_budget_what_takes_long_is_not_measured_and_what_is_short_is(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.add("a", 0.50)
    finals.add("b", 0.51)
    finals.left_s = -1.0
    slow = replace(finals, reference=replace_in(FLOAT, latency_p50_ms=2000.0), asked=[], tried=list(finals.tried))

    assert names(finals.run(tmp_path, monkeypatch)) == ["a"]
    assert names(slow.run(tmp_path, monkeypatch)) == ["a"]
    assert [one[0] for one in finals.asked] == ["memory", "race", "proof"]
    assert [one[0] for one in slow.asked] == ["proof"]


def test_where_nothing_else_is_gained_every_structure_is_weighed(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, time in (("a", 0.96), ("b", 0.97), ("c", 0.98), ("light", 1.0)):
        finals.add(name, time, 900)
    finals.memory = {"light": 20 * MIB}

    assert names(finals.run(tmp_path, monkeypatch)) == ["light"]
    assert finals.asked[0] == ("memory", "float", "a", "b", "c", "light")


def test_a_limit_of_memory_is_held_against_each_whatever_is_preferred(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.prefer, finals.max_memory_ratio = "speed", 0.6
    for name, time in (("a", 0.4), ("b", 0.5), ("light", 0.9)):
        finals.add(name, time)
    finals.memory = {"light": 20 * MIB}

    assert names(finals.run(tmp_path, monkeypatch)) == ["light"]
    assert record_of(finals, "a").code == "memory_too_high"


def test_memory_that_is_all_that_is_preferred_is_weighed_of_every_structure(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.prefer = "memory"
    for name in ("a", "b", "c", "light"):
        finals.add(name, 0.5, 400 if name == "light" else 300)
    finals.memory = {"light": 20 * MIB}

    assert names(finals.run(tmp_path, monkeypatch)) == ["light"]


def test_where_there_is_no_time_to_weigh_all_the_first_ones_are_weighed(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.prefer = "memory"
    finals.left_s = -1.0
    slow = replace(finals, reference=replace_in(FLOAT, latency_p50_ms=180.0))  # 3.6 s each, and a second to start
    for name in "abcd":
        slow.add(name, 0.5)

    slow.run(tmp_path, monkeypatch)

    assert slow.asked[0] == ("memory", "float", "a", "b", "c")


def test_one_that_was_not_weighed_does_not_overtake_those_that_were(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that int8 takes more of makes a number worse, and the fourth's has none in it."""
    for name, time in (("a", 0.50), ("b", 0.51), ("c", 0.52), ("d", 0.53)):
        finals.add(name, time)
    finals.memory = dict.fromkeys("abc", 60 * MIB)

    assert names(finals.run(tmp_path, monkeypatch)) == ["a"]
    assert finals.asked[1] == ("race", "a", "b", "c")


FULL = LimitError("out_of_memory", "the models do not fit into the memory that a measurement may use")


@pytest.mark.parametrize("prefer", ["balanced", "speed"])
def test_what_cannot_be_measured_fails_alone_and_the_others_go_on(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefer: Preference
) -> None:
    finals.prefer = prefer
    for name, time in (("broken", 0.5), ("a", 0.51), ("b", 0.52)):
        finals.add(name, time)
    finals.broken = {"broken": FULL}

    assert names(finals.run(tmp_path, monkeypatch)) == ["a"]
    assert finals.asked[-2:] == [("race", "a", "b"), ("proof", "a", SHARED_CONFIDENCE)]
    assert record_of(finals, "broken").code == "out_of_memory"
    assert record_of(finals, "a").steady_rss_bytes == (40 * MIB if prefer == "balanced" else None)


def test_what_cannot_be_measured_in_its_proof_gives_way_and_takes_no_chance_of_the_others(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.prefer = "speed"
    for name, time in (("broken", 0.5), ("a", 0.6), ("worse", 0.7), ("b", 0.8)):
        finals.add(name, time)
    finals.broken = {"broken": StageError("stage_crashed", "a measurement was killed"), "worse": FULL}
    finals.proofs = {"a": Decision.SLOWER}

    assert names(finals.run(tmp_path, monkeypatch)) == ["b"]
    assert {name: record_of(finals, name).code for name in ("broken", "worse")} == {
        "broken": "stage_crashed", "worse": "out_of_memory",
    }  # fmt: skip


def test_where_float_itself_cannot_be_measured_the_search_ends(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.add("a", 0.5)
    finals.add("b", 0.51)
    finals.broken = {"float": FULL}

    with pytest.raises(LimitError):
        finals.run(tmp_path, monkeypatch)
    assert {item.record.code for item in finals.tried} == {None}


@pytest.mark.parametrize(("end", "found"), [(Decision.ACCEPTED, ["fast", "surest"]), (Decision.SLOWER, ["sure"])])
def test_a_surer_second_finalist_is_asked_while_fewer_than_two_were(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Decision, found: list[str]
) -> None:
    finals.add("fast", 0.5, chance=0.9, wrong=3)
    finals.add("sure", 0.7, chance=0.9, wrong=2)
    finals.add("surest", 0.8, chance=0.9, wrong=0)
    finals.proofs = {"fast": end}

    assert names(finals.run(tmp_path, monkeypatch)) == found
    assert len(finals.proved) == 2


def test_a_surer_one_whose_gain_was_luck_does_not_follow_one_that_gains(
    finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals.add("small", 0.9, chance=0.9, wrong=3)
    finals.add("surer", 0.94, 990, chance=0.9, wrong=0)

    assert names(finals.run(tmp_path, monkeypatch)) == ["small"]
    assert finals.proved == ["small", "surer"]


def test_a_doubtful_verdict_is_told(finals: Finals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finals.add("a", 0.5, chance=0.6, wrong=3)
    proof = finals.proof(tmp_path, monkeypatch)

    assert names(proof.finalists()) == ["a"]
    assert "chance of 60%" in proof.warnings[0]
