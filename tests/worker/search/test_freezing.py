from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replace_in

from edge_agent.backends import CandidateSpec
from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.prospect import Prospect
from edge_agent.worker.search.freezing import SHARED_CONFIDENCE, second_finalists, with_chances
from edge_agent.worker.search.policy import SURE, EvaluatedCandidate, finalists

WINDOWS, HELDOUT = 150, 300


def candidate(wrong: int, *, ratio: float = 0.5, name: str = "", code: str = "") -> EvaluatedCandidate:
    prospect = Prospect(wrong, WINDOWS, 1.0, HELDOUT, 0.95)
    code = code or ("" if wrong <= 0.025 * WINDOWS else "agreement_too_low")
    record = MeasuredModel(
        method="static", ratio_p50=ratio, agreement=1 - wrong / WINDOWS, sqnr_db=20.0, code=code or None
    )
    return EvaluatedCandidate(CandidateSpec("static", name, (name,)), record, not code, prospect.chance(), prospect)


def test_what_fails_for_agreement_tells_of_the_lucky_one_and_what_fails_otherwise_does_not() -> None:
    lucky = candidate(1, name="lucky")
    bad = [candidate(wrong, name=str(number)) for number, wrong in enumerate((4, 4, 5, 5, 6, 6, 7))]
    slow = [replace(one, record=replace_code(one.record, "size_too_large")) for one in bad]

    assert not with_chances([lucky, *bad])[0].likely_to_pass
    assert with_chances([lucky, *slow])[0].likely_to_pass


def replace_code(record: MeasuredModel, code: str) -> MeasuredModel:
    return MeasuredModel(ratio_p50=record.ratio_p50, agreement=record.agreement, code=code)


def test_a_second_finalist_is_one_that_is_likelier_though_it_must_prove_more() -> None:
    tried = with_chances(
        [
            candidate(3, ratio=0.4, name="first"),
            *(candidate(wrong, ratio=0.8, name=str(wrong)) for wrong in (3, 1, 0)),
            candidate(0, name="slow", code="latency_too_high"),
        ]
    )
    first, as_bad, better, best, _ = tried
    assert as_bad.chance == first.chance

    assert second_finalists(tried, first) == [best, better, as_bad]
    assert second_finalists(tried, best) == []


@pytest.mark.parametrize(("wrong", "windows", "pays"), [(0, 30, True), (1, 50, True), (0, 60, False), (1, 150, False)])
def test_where_few_windows_tell_little_another_one_as_good_follows(wrong: int, windows: int, pays: bool) -> None:  # noqa: FBT001  # a case
    prospect = Prospect(wrong, windows, 1.0, HELDOUT, 0.95)
    both = [replace(candidate(0, name=name), prospect=prospect, chance=prospect.chance()) for name in "ab"]

    assert second_finalists(both, both[0]) == both[1:] * pays


def test_of_second_ones_as_likely_the_closest_to_float_comes_first() -> None:
    prospect = Prospect(0, 30, 1.0, HELDOUT, 0.95)
    first, far, near = (replace(candidate(0, name=name), prospect=prospect) for name in ("first", "far", "near"))
    near = replace(near, record=replace_in(near.record, sqnr_db=30.0, ratio_p50=0.9))

    assert second_finalists([first, far, near], first) == [near, far]


def test_what_gains_nothing_follows_nothing_that_gains() -> None:
    first, surer = with_chances([candidate(3, ratio=0.4, name="first"), candidate(0, ratio=0.99, name="surer")])
    useless, worthless = replace(surer, gains=False), replace(first, gains=False)

    assert second_finalists([first, surer], first) == [surer]
    assert second_finalists([first, useless], first) == []
    assert second_finalists([worthless, useless], worthless) == [useless]


def test_there_is_no_second_one_where_agreement_does_not_decide() -> None:
    labelled = [replace(candidate(3, name=name), prospect=None, chance=1.0) for name in "ab"]

    assert with_chances(labelled) == labelled
    assert second_finalists(labelled, labelled[0]) == []


def test_two_finalists_err_as_often_as_one() -> None:
    assert pytest.approx(0.975) == SHARED_CONFIDENCE


def test_a_second_finalist_saves_jobs_in_simulated_searches() -> None:
    """Faster candidates are worse; the fastest that looks sure is often not, and a slower one is."""
    random = np.random.default_rng(1)
    shares, ratios = np.geomspace(0.03, 0.003, 16), np.linspace(0.4, 0.9, 16)
    first_only, with_second, sure = [], [], []
    for search, heldout in zip(
        random.binomial(150, shares, (200, 16)), random.binomial(300, shares, (200, 16)), strict=True
    ):
        tried = with_chances(
            [
                candidate(int(wrong), ratio=float(ratio), name=str(n))
                for n, (wrong, ratio) in enumerate(zip(search, ratios, strict=True))
            ]
        )
        first = finalists(tried)[0]
        second = second_finalists(tried, first)[:1]
        wrong = [int(heldout[int(one.spec.calibration)]) for one in (first, *second)]
        first_only.append(wrong[0] <= 8)
        with_second.append(min(wrong) <= 7 if second else wrong[0] <= 8)
        sure.append(first.chance >= SURE)

    assert np.mean(sure) > 0.9
    assert np.mean(with_second) > np.mean(first_only) + 0.03
    assert np.mean(with_second) > 0.93
