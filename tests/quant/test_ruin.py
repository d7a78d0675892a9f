import pytest

from edge_agent.jobs.measured_outputs import OutputSummary
from edge_agent.quant.judgement import Judgement
from edge_agent.quant.ruin import ruin, with_outputs
from edge_agent.wire.manifest import OutputKind

RUINED = OutputSummary(
    name="age", kind="regression", found="", code="output_ruined", message="output 'age': the SQNR is -8.0 dB"
)
SOUND = OutputSummary(name="sex", kind="binary", found="")


@pytest.mark.parametrize(
    ("kind", "wrong", "sqnr_db", "words"),
    [
        ("raw", 150, 9.9, "the SQNR of channels 4-83 is 9.9 dB; 10 dB are needed"),
        ("raw", 150, 10.0, ""),
        ("regression", 0, -8.0, "-8.0 dB"),
        ("embedding", 0, None, ""),
        ("classes", 8, -20.0, "int8 disagrees with float in 8 of 150 windows; 95 % must agree"),
        ("classes", 7, -20.0, ""),
        ("mask", 9, 50.0, "9 of 150"),
    ],
)
def test_what_ruins_an_output(kind: OutputKind, wrong: int, sqnr_db: float | None, words: str) -> None:
    found = ruin(kind, 150, wrong, sqnr_db, "4-83")

    assert words in found
    assert bool(words) == bool(found)


def test_nothing_was_compared_and_nothing_is_ruined() -> None:
    assert ruin("raw", 0, 0, -50.0) == ""


@pytest.mark.parametrize("code", ["", "latency_too_high", "latency_inconclusive", "too_noisy", "size_too_large"])
def test_a_ruined_output_says_more_than_speed_or_size(code: str) -> None:
    judgement = with_outputs(Judgement((), code, "words"), [SOUND, RUINED])

    assert judgement.code == "output_ruined"
    assert judgement.message == "output 'age': the SQNR is -8.0 dB"
    assert not judgement.passed


@pytest.mark.parametrize("code", ["agreement_too_low", "sqnr_too_low", "too_few_windows"])
def test_what_the_gates_say_of_the_judged_output_comes_first(code: str) -> None:
    judgement = Judgement((), code, "words")

    assert with_outputs(judgement, [RUINED]) is judgement
    assert with_outputs(judgement, [SOUND]) is judgement
