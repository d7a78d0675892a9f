"""The course of a simulated job: its reports and its end, drawn before it starts. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from edge_agent.errors import CODES
from edge_agent.jobs.task import Stage

SHARES = {
    Stage.RECEIVE: 0.05,
    Stage.CAPTURE: 0.4,
    Stage.CALIBRATE: 0.08,
    Stage.QUANTIZE: 0.1,
    Stage.VALIDATE: 0.2,
    Stage.BENCHMARK: 0.15,
    Stage.ACTIVATE: 0.02,
}
"""Stage → its share of a job's duration."""
_ENDS = (
    (Stage.RECEIVE, "no_space", 1),
    (Stage.CAPTURE, "stuck_channel", 2),
    (Stage.CAPTURE, "source_silent", 2),
    (Stage.CALIBRATE, "out_of_memory", 1),
    (Stage.QUANTIZE, "no_candidate", 2),
    (Stage.VALIDATE, "agreement_too_low", 4),
    (Stage.BENCHMARK, "latency_too_high", 3),
    (Stage.BENCHMARK, "no_gain", 2),
    (Stage.ACTIVATE, "activation_failed", 1),
)
"""Stage, code and weight of each unsuccessful end."""
_SPREAD = 0.35
_SAY_EVERY_S = 5.0
"""Interval between a job's progress reports within a stage."""


@dataclass(frozen=True, slots=True)
class Step:
    """A job's report at a time.

    Attributes:
        at_s: seconds after the start of the job.
        stage: current stage.
        progress: progress of that stage, 0 to 1.
        whole: progress of the job, 0 to 1.
        eta_s: remaining seconds of the stage.
    """

    at_s: float
    stage: Stage
    progress: float
    whole: float
    eta_s: float


@dataclass(frozen=True, slots=True)
class Script:
    """A job: the duration of each stage, and its end.

    Attributes:
        status: succeeded, rejected or failed, as in a report.
        code: a code of the error table.
    """

    seconds: dict[Stage, float]
    status: str
    code: str

    @property
    def lasts_s(self) -> float:
        """Its duration in seconds."""
        return sum(self.seconds.values())

    @property
    def last(self) -> Stage:
        """The stage in which it ends."""
        return list(self.seconds)[-1]

    def steps(self) -> Iterator[Step]:
        """Its reports before the end, in order."""
        began = done = 0.0
        for stage, takes_s in self.seconds.items():
            count = max(1, int(takes_s // _SAY_EVERY_S))
            for number in range(count):
                part = number / count
                at_s = began + part * takes_s
                yield Step(at_s, stage, round(part, 4), round(done + SHARES[stage] * part, 4), (1 - part) * takes_s)
            began += takes_s
            done += SHARES[stage]


def draw_script(chance: Random, job_s: float, failures: float) -> Script:
    """A random course of a job.

    Args:
        chance: source of randomness.
        job_s: approximate duration of a successful job.
        failures: the share of jobs that are rejected or fail, 0 to 1.
    """
    last, code, status = Stage.ACTIVATE, "accepted", "succeeded"
    if chance.random() < failures:
        last, code, _ = chance.choices(_ENDS, [often for *_, often in _ENDS])[0]
        status = CODES[code].status
    seconds: dict[Stage, float] = {}
    for stage, share in SHARES.items():
        seconds[stage] = round(job_s * share * chance.lognormvariate(0, _SPREAD), 3)
        if stage is last:
            seconds[stage] = round(seconds[stage] * (1.0 if status == "succeeded" else chance.uniform(0.1, 1)), 3)
            break
    return Script(seconds, status, code)
