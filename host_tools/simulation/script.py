"""How a simulated job goes: when it says what, and how it ends. Drawn before it begins. Pure."""

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
"""Stage → the part of a job's time that it takes."""
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
"""Where, why and how often a job ends that does not succeed."""
_SPREAD = 0.35
_SAY_EVERY_S = 5.0
"""How often a job tells of its progress within a stage."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a job says at a moment.

    Attributes:
        at_s: seconds after its beginning.
        stage: that it is in.
        progress: part of that stage, 0 to 1.
        whole: part of the job, 0 to 1.
        eta_s: what is left of the stage.
    """

    at_s: float
    stage: Stage
    progress: float
    whole: float
    eta_s: float


@dataclass(frozen=True, slots=True)
class Script:
    """A job: how long each stage takes, and how it ends.

    Attributes:
        status: succeeded, rejected or failed, as a report says it.
        code: of the error table.
    """

    seconds: dict[Stage, float]
    status: str
    code: str

    @property
    def lasts_s(self) -> float:
        """When it ends, in seconds after its beginning."""
        return sum(self.seconds.values())

    @property
    def last(self) -> Stage:
        """The stage in which it ends."""
        return list(self.seconds)[-1]

    def steps(self) -> Iterator[Step]:
        """What it says before its end, in order."""
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
    """A job's way.

    Args:
        chance: where all of it comes from.
        job_s: how long a job takes that succeeds, about.
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
