"""A job as a value: every way through, every end, every interruption."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import CODES
from edge_agent.jobs.job import (
    MAX_RESTARTS,
    ActivationStep,
    Ended,
    Event,
    Interrupted,
    Job,
    Paused,
    Progressed,
    StageFailed,
    StageRefused,
    StageSucceeded,
    Started,
    Status,
    Stepped,
    advance,
    cancelable,
    next_step,
    runnable,
)
from edge_agent.jobs.task import Stage

EXCLUSIVE = (Stage.CALIBRATE, Stage.QUANTIZE, Stage.VALIDATE, Stage.BENCHMARK, Stage.ACTIVATE)
events = st.one_of(
    st.just(Started()),
    st.builds(Progressed, st.floats(-1, 2), st.text(max_size=5)),
    st.builds(StageSucceeded, st.floats(0, 10)),
    st.builds(StageRefused, st.just("agreement_too_low"), st.just("m"), st.just(0.0), st.booleans()),
    st.builds(StageFailed, st.just("stage_crashed"), st.just("m"), st.just(0.0), st.booleans()),
    st.just(Ended("canceled", "m")),
    st.just(Paused()),
    st.just(Interrupted()),
)


def job(stage: Stage = Stage.RECEIVE, **fields: object) -> Job:
    return Job(id="j", model="har", version=1, digest="d", scope="d/pi", created=0.0, stage=stage, **fields)  # type: ignore[arg-type]


def through(start: Job, *steps: Event) -> Job:
    for step in steps:
        start = advance(start, step)
    return start


def test_the_whole_way() -> None:
    passed = [event for _ in list(Stage)[:-1] for event in (Started(), StageSucceeded(1.0))]

    activating = through(job(), *passed, Started())
    done = through(activating, *(Stepped(step, "1-j") for step in ActivationStep))

    assert activating.stage is Stage.ACTIVATE
    assert (done.status, done.code, done.release, done.fraction) == (Status.SUCCEEDED, "accepted", "1-j", 1.0)
    assert done.seconds == dict.fromkeys(list(Stage)[:-1], 1.0)


@pytest.mark.parametrize("stage", list(Stage)[1:-1])
def test_a_refusal_ends_rejected_and_keeps_its_words(stage: Stage) -> None:
    ended = through(job(stage), Started(), StageRefused("agreement_too_low", "14 of 300 disagree"))

    assert (ended.status, ended.code, ended.message) == (Status.REJECTED, "agreement_too_low", "14 of 300 disagree")


def test_a_refused_model_may_be_activated_as_float_and_stays_rejected() -> None:
    activating = through(job(Stage.VALIDATE), Started(), StageRefused("latency_too_high", "1.3", use_float=True))

    assert activating.stage is Stage.ACTIVATE
    ended = through(activating, Started(), *(Stepped(step, "1-j") for step in ActivationStep))
    assert (ended.status, ended.code, ended.release) == (Status.REJECTED, "latency_too_high", "1-j")


def test_a_crash_is_tried_once_more_and_a_fault_is_not() -> None:
    crash = StageFailed("stage_crashed", "SIGSEGV", retryable=True)

    once = through(job(Stage.CALIBRATE), Started(), crash)

    assert not once.ended
    assert runnable([once]) == [once]
    assert through(once, Started(), crash).status is Status.FAILED
    assert through(job(Stage.CALIBRATE), Started(), StageFailed("model_unreadable", "x")).status is Status.FAILED


def test_a_new_stage_forgets_the_attempts_of_the_last() -> None:
    crash = StageFailed("stage_crashed", "SIGSEGV", retryable=True)

    later = through(job(Stage.CALIBRATE), Started(), crash, Started(), StageSucceeded(1.0), Started(), crash)

    assert not later.ended


@pytest.mark.parametrize("stage", EXCLUSIVE)
def test_the_third_unclean_boot_in_a_model_stage_ends_the_job(stage: Stage) -> None:
    current = job(stage)
    for _ in range(MAX_RESTARTS - 1):
        current = through(current, Started(), Interrupted())
        assert not current.ended

    ended = through(current, Started(), Interrupted())

    assert (ended.status, ended.code) == (Status.FAILED, "device_restarts")
    assert "power supply" in ended.message


@pytest.mark.parametrize("stage", [Stage.RECEIVE, Stage.CAPTURE])
def test_unclean_boots_elsewhere_and_clean_stops_anywhere_count_nothing(stage: Stage) -> None:
    unclean, clean = job(stage), job(Stage.QUANTIZE)
    for _ in range(10):
        unclean = through(unclean, Started(), Interrupted())
        clean = through(clean, Started(), Paused(), Interrupted())

    assert not unclean.ended
    assert not clean.ended
    assert clean.restarts == 0


@given(st.lists(events, max_size=30))
def test_no_sequence_of_events_breaks_a_job(sequence: list[Event]) -> None:
    current = job()
    for event in sequence:
        before, current = current, advance(current, event)
        if before.ended:
            assert current is before
        assert list(Stage).index(current.stage) >= list(Stage).index(before.stage)
        assert 0 <= current.fraction <= 1
        assert not (current.ended and current.running)
        if current.stage is Stage.ACTIVATE:
            break


@given(st.lists(st.tuples(st.sampled_from(Stage), st.booleans(), st.booleans()), max_size=6))
def test_one_job_at_a_time_uses_the_processor(shapes: list[tuple[Stage, bool, bool]]) -> None:
    jobs = [
        Job(
            id=str(number), model=f"m{number}", version=1, digest="d", scope="d/pi", created=float(number),
            stage=stage, running=running, status=Status.IN_PROGRESS,
            step=ActivationStep.SWAPPED if begun and stage is Stage.ACTIVATE else None,
        )
        for number, (stage, running, begun) in enumerate(shapes)
    ]  # fmt: skip
    already = sum(job.running and job.stage in EXCLUSIVE for job in jobs)

    chosen = runnable(jobs)

    assert sum(job.stage in EXCLUSIVE for job in chosen) <= max(0, 1 - already)
    assert not any(job.running for job in chosen)
    for waiting in jobs:
        if not waiting.running and waiting.stage not in EXCLUSIVE:
            assert waiting in chosen


def test_a_begun_activation_goes_before_an_older_job() -> None:
    """After a boot nothing may be measured while a release is half activated."""
    old = job(Stage.CALIBRATE, status=Status.IN_PROGRESS)
    begun = Job(
        id="k", model="kws", version=1, digest="e", scope="d/pi", created=9.0,
        stage=Stage.ACTIVATE, step=ActivationStep.SWAPPED, status=Status.IN_PROGRESS,
    )  # fmt: skip

    assert runnable([old, begun]) == [begun]


def test_activation_cannot_be_canceled_once_prepared() -> None:
    activating = through(job(Stage.ACTIVATE), Started())

    assert cancelable(activating)
    assert not cancelable(advance(activating, Stepped(ActivationStep.PREPARED, "1-j")))


def test_steps_follow_each_other() -> None:
    current, seen = job(Stage.ACTIVATE), []
    while not current.ended:
        seen.append(next_step(current))
        current = advance(current, Stepped(seen[-1], "1-j"))

    assert seen == list(ActivationStep)
    assert all(a < b for a, b in itertools.pairwise(range(len(seen))))


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_ends_a_job_in_a_status(code: str) -> None:
    """Also those that are not about jobs as a rule, such as a bug of ours in the middle of one."""
    assert through(job(Stage.CALIBRATE), Started(), StageFailed(code, "x")).ended
