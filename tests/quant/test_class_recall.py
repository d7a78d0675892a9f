import pytest

from edge_agent.quant.class_recall import ClassCounts, class_recall, recall_warnings, unlabelled_warnings
from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_heldout, evaluate_search
from edge_agent.wire.manifest import Gates

FREE = Gates(max_latency_ratio=0, max_size_ratio=0)


def test_a_class_that_is_gone_is_seen_however_rare_it_is() -> None:
    finding = class_recall({0: (785, 785), 1: (15, 0)}, None)

    assert finding is not None
    assert (finding.gate.name, finding.gate.value, finding.gate.passed) == ("min_class_recall", 0.0, False)
    assert finding.message.startswith("of 15 windows to which float gives class 1, int8 keeps 0; at least 80 %")


@pytest.mark.parametrize(
    ("counts", "asked", "passed"),
    [
        ({0: (90, 90), 1: (10, 8)}, None, True),
        ({0: (90, 90), 1: (10, 7)}, None, False),
        ({0: (90, 90), 1: (10, 9)}, 0.95, False),
        ({0: (90, 40), 1: (10, 10)}, 0.5, False),
        ({0: (90, 90), 1: (9, 0)}, None, True),
        ({0: (90, 90), 1: (10, 0)}, 0.0, None),
        ({0: (90, 0)}, None, False),
        ({}, None, None),
    ],
)
def test_the_worst_class_with_enough_windows_counts(
    counts: dict[int, tuple[int, int]], asked: float | None, *, passed: bool | None
) -> None:
    finding = class_recall(counts, asked)

    assert (None if finding is None else finding.gate.passed) is passed


def test_a_class_too_rare_to_refuse_is_warned_of() -> None:
    counts = {0: (90, 90), 1: (5, 2.5), 2: (3, 3)}

    assert recall_warnings(counts, None) == (
        (
            "int8 keeps too few windows of some classes, which are too rare to reject it: "
            "class 1: 2.5 of 5 windows; capture more"
        ),
    )
    assert recall_warnings(counts, 0.0) == ()


@pytest.mark.parametrize(
    ("rare", "code"),
    [
        ({1: (5, 0), 2: (5, 0), 3: (5, 5)}, "class_lost"),
        ({1: (5, 0), 2: (4, 0)}, ""),  # nine windows
        ({1: (9, 0)}, ""),  # one class, which is warned of
        ({1: (9, 6), 2: (9, 6)}, ""),  # chance explains it
        (dict.fromkeys(range(1, 30), (9, 3)), "class_lost"),
    ],
)
def test_rare_classes_are_looked_at_together(rare: dict[int, tuple[int, int]], code: str) -> None:
    finding = class_recall({0: (900, 900)} | rare, None)

    assert finding is not None
    assert finding.gate.passed is not bool(code)
    if code:
        assert "one of the rare classes (" in finding.message
        assert finding.gate.value is not None
        assert finding.gate.value < 0.5


def test_windows_weigh_what_they_hold_of_the_class() -> None:
    counts = ClassCounts()
    counts.add({"a": (30.0, 30.0), "b": (1.0, 1.0)})
    counts.add({"a": (10.0, 0.0)})

    assert counts.counts == {"a": (2, 1.5), "b": (1, 1.0)}


def test_a_lost_class_refuses_where_agreement_is_proved() -> None:
    measured = Measured(windows=800, windows_effective=800, disagreements=15, classes={0: (785, 785), 1: (15, 0)})

    assert evaluate_heldout(FREE, "binary", measured).code == "class_lost"
    assert evaluate_search(FREE, "binary", measured).code == "class_lost"


def test_a_class_that_labels_always_call_wrong_is_told_of_where_it_is_lost() -> None:
    given = {0: (785, 785), 1: (15, 3), 2: (15, 15), 3: (9, 0)}

    (said,) = unlabelled_warnings({0: (785, 785)}, given, None)

    assert said.startswith("of 15 windows to which float gives class 1, int8 keeps 3; ")
    assert unlabelled_warnings(given, given, None) == unlabelled_warnings({}, given, 0) == ()
