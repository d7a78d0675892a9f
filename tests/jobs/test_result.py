import math

import msgspec
import pytest

from edge_agent.jobs.data_summary import Data, EnoughWindows
from edge_agent.jobs.result import NOTHING_TO_DO, GateResult, LayerLoss, MeasuredModel, Result

SLOW = "latency_too_high"


def made(method: str, **known: object) -> MeasuredModel:
    return MeasuredModel(method=method, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("candidates", "method"),
    [
        ([made("a"), made("proved", agreement=0.9, agreement_lower=0.8), made("c", agreement=1.0)], "proved"),
        (
            [
                made("closer", code=SLOW, message="int8 takes 1.4", agreement=0.99),
                made("quoted", code=SLOW, message="int8 takes 1.2", agreement=0.98),
            ],
            "quoted",
        ),
        ([made("far", code=SLOW, agreement=0.5), made("near", code=SLOW, agreement=0.9)], "near"),
        ([made("of another code", code="size_too_large", agreement=1.0), made("of this", code=SLOW)], "of this"),
        ([made("far", agreement=0.2), made("near", agreement=0.7, sqnr_db=9.0), made("b", agreement=0.7)], "near"),
        ([made("never ran")], "never ran"),
    ],
)  # fmt: skip
def test_a_refused_job_is_about_the_candidate_that_came_furthest(candidates: list[MeasuredModel], method: str) -> None:
    sentence = "int8 refused: int8 takes 1.2 (static, all operators)"
    result = Result(verdict="rejected", code=SLOW, message=sentence, candidates=candidates)

    assert result.judged is not None
    assert result.judged.method == method


def test_a_job_that_failed_after_its_verdict_is_about_the_finalist() -> None:
    """It ended in the benchmark or in activation, so nothing quotes the candidate that was validated."""
    candidates = [made("uniform", agreement=1.0), made("validated", agreement=0.99)]

    result = Result(verdict="failed", code="out_of_memory", candidates=candidates, finalist=1)

    assert result.judged is candidates[1]
    assert Result(candidates=candidates, finalist=7).judged is candidates[0], "a report that left candidates out"


def test_an_accepted_job_is_about_the_chosen_one() -> None:
    chosen = made("static")

    assert Result(chosen=chosen, candidates=[made("other", agreement_lower=1.0)]).judged is chosen
    assert Result().judged is None


def test_layers_that_lose_nothing_are_not_for_people() -> None:
    lossy = LayerLoss(name="b", remedy="leave it float")

    result = Result(layers=[LayerLoss(name="a", remedy=NOTHING_TO_DO), lossy])

    assert result.lossy_layers == [lossy]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_null(value: float) -> None:
    model = MeasuredModel(sqnr_db=value, gates=[GateResult("min_sqnr_db", value, value, passed=False)])
    enough = EnoughWindows(windows=1, enough=None, message="", spread=value)
    data = msgspec.structs.replace(Data(), enough=msgspec.structs.replace(Data().enough, calibration=enough))

    there = msgspec.json.decode(msgspec.json.encode(Result(chosen=model, data=data)), type=Result)

    assert there.chosen is not None
    assert there.chosen.sqnr_db is there.chosen.gates[0].value is there.chosen.gates[0].limit is None
    assert there.data.enough.calibration is not None
    assert there.data.enough.calibration.spread is None


def test_every_key_that_readers_rely_on_is_there_from_the_start() -> None:
    """Programs of others read these; they may only grow."""
    fields = msgspec.to_builtins(Result())

    assert fields.keys() >= {
        *("verdict", "code", "message", "reference", "chosen", "candidates", "layers", "data", "device", "seconds"),
    }
    assert fields["data"].keys() >= {
        *("calibration", "search", "heldout", "eval", "kept", "enough", "findings", "warnings"),
    }
