"""One model name on a simulated device: its active release, and its running job. Pure."""

import math
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from edge_agent.errors import CODES
from edge_agent.jobs.result import Result
from edge_agent.jobs.task import Stage
from edge_agent.wire.messages import ActiveRelease, JobReport, Refused, Verdict
from edge_agent.wire.telemetry import ModelState
from edge_agent.wire.timestamps import rfc3339
from host_tools.simulation.hardware import RUNTIME, Board, Measured, SimulatedModel, measure
from host_tools.simulation.plan import Plan
from host_tools.simulation.script import Script, Step, draw_script

_KEPT_REPORTS = 20
_MONTH_S = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class _Release:
    version: int
    job: str
    since: float
    measured: Measured


@dataclass(slots=True)
class _Run:
    """A job; ``began`` is a time, ``steps`` are the remaining ones."""

    job: str
    version: int
    began: float
    script: Script
    steps: deque[Step]

    @property
    def due(self) -> float:
        return self.began + (self.steps[0].at_s if self.steps else self.script.lasts_s)


class ModelRuns:
    """The jobs and releases of one model name on a device. Times are seconds since the epoch.

    Attributes:
        model: its name and its typical numbers.
        jobs: jobs with a retained report, the newest last.
        newest_version: the highest requested version.
    """

    def __init__(
        self, device: str, model: SimulatedModel, plan: Plan, board: Board, chance: Random, now: float, *, has: bool
    ) -> None:
        self.model = model
        self.jobs: list[str] = []
        self.newest_version = 0
        self._newest_job = ""
        self._device, self._plan, self._board, self._chance = device, plan, board, chance
        self._active: _Release | None = None
        self._previous = 0
        self._run: _Run | None = None
        self._waiting: tuple[int, str] | None = None
        self._report: dict[str, Any] = {}
        """The fields of the newest report."""
        self._result: Result | None = None
        if has:
            self._was_pushed(now - chance.uniform(0, _MONTH_S))

    @property
    def due(self) -> float:
        """When the running job next reports something; infinite without one."""
        return self._run.due if self._run else math.inf

    @property
    def active(self) -> ActiveRelease | None:
        """The active release of the name."""
        if self._active is None:
            return None
        return ActiveRelease(self.model.name, self._active.version, self._active.job, "accepted", RUNTIME)

    @property
    def p50_ms(self) -> float | None:
        """The median latency of the active release, as measured for its verdict."""
        return self._active.measured.chosen.latency_p50_ms if self._active else None

    def want(self, version: int, job: str, now: float) -> Refused | None:
        """Start a job, or queue it behind the running one.

        Returns the refusal of an invalid order, unless it is known.
        """
        if version > self.newest_version:
            self.newest_version, self._newest_job = version, job
            if self._run:
                self._waiting = version, job
            else:
                self._begin(version, job, now)
            return None
        if job in self.jobs or job == self._newest_job:
            return None
        name = self.model.name
        if version == self.newest_version:
            text = f"{name} {version} exists here with other content; push it with a higher version"
            return Refused(name, job, "version_conflict", text)
        text = f"{name} {version} is older than {self.newest_version}, which this device has accepted"
        return Refused(name, job, "downgrade", f"{text}; push a higher version, or roll back")

    def advance(self, now: float) -> JobReport | None:
        """Advance to ``now``; returns the last report of a job that has ended by then."""
        run = self._run
        if run is None or now < run.due:
            return None
        while run.steps and now >= run.due:
            step = run.steps.popleft()
            self._note(stage=step.stage, progress=step.progress, eta_s=round(step.eta_s, 1))
            self._note(detail=f"{step.stage}: {step.progress:.0%}", whole=step.whole)
        if run.steps or now < run.due:
            return None
        self._end(run, now)
        ended = self.report()
        if self._waiting:
            version, job = self._waiting
            self._waiting = None
            self._begin(version, job, now)
        return ended

    def forget(self) -> list[str]:
        """Forget the oldest jobs; returns them, so that their reports are cleared."""
        old, self.jobs = self.jobs[:-_KEPT_REPORTS], self.jobs[-_KEPT_REPORTS:]
        return old

    def report(self) -> JobReport:
        """The newest job's report, without the fields that publishing adds."""
        fields = {name: value for name, value in self._report.items() if name != "whole"}
        results = msgspec.to_builtins(self._result) if self._result else {}
        return JobReport(device=self._device, results=results, **fields)

    def state(self) -> ModelState:
        """The state of the active release and the newest job, without the fields that publishing adds."""
        report, fields = self._report, dict[str, Any]()
        if report:
            fields |= {
                "job": report["job"],
                "job_version": report["version"],
                **{name: report.get(name, "") for name in ("stage", "status", "code", "message")},
                "progress": report["whole"] if self._run else None,
                "verdict": "" if self._run else _verdict(report["status"]),
            }
        if self._active:
            fields |= _measured_fields(self._active)
        return ModelState(
            device=self._device,
            model=self.model.name,
            newest_version=self.newest_version,
            previous_version=self._previous,
            **fields,
        )

    # -- the course of a job

    def _was_pushed(self, when: float) -> None:
        """Add the active release and the report of a job that ended before the simulation started."""
        self.newest_version = self._chance.randint(1, 9)
        script = draw_script(self._chance, self._plan.job_s, 0.0)
        self._end(self._begin(self.newest_version, "", when - script.lasts_s, script), when)

    def _begin(self, version: int, job: str, now: float, script: Script | None = None) -> _Run:
        """Start a job; one with a given ``script`` has already ended."""
        steps = deque[Step]()
        if script is None:
            script = draw_script(self._chance, self._plan.job_s, self._plan.failures)
            steps.extend(script.steps())
        run = self._run = _Run(job or f"{self._chance.getrandbits(64):016x}", version, now, script, steps)
        self.jobs.append(run.job)
        self._report, self._result = {}, None
        self._note(job=run.job, model=self.model.name, version=version, started=rfc3339(now))
        self._note(stage=Stage.RECEIVE, status="in_progress", whole=0.0)
        return run

    def _end(self, run: _Run, now: float) -> None:
        script, self._run = run.script, None
        measured = measure(self.model, self._board, self._chance)
        stage = script.last
        verdict = _verdict(script.status)
        words = f"simulated: {CODES[script.code].meaning}"
        judged = stage in (Stage.VALIDATE, Stage.BENCHMARK, Stage.ACTIVATE)
        self._result = Result(
            verdict=verdict,
            code=script.code,
            message=words,
            reference=measured.reference if judged else None,
            chosen=measured.chosen if verdict == "accepted" else None,
            candidates=[measured.chosen] if judged else [],
            layers=measured.layers if judged else [],
            seconds={str(name): took for name, took in script.seconds.items()},
        )
        self._note(stage=stage, status=script.status, code=script.code, message=words, detail="", eta_s=None)
        self._note(progress=1.0, whole=1.0, seconds=self._result.seconds)
        if verdict == "accepted":
            self._note(release=f"{run.version}-{run.job}")
            self._previous = self._active.version if self._active else 0
            self._active = _Release(run.version, run.job, now, measured)

    def _note(self, **fields: Any) -> None:
        self._report |= fields


def _verdict(status: str) -> Verdict:
    return "accepted" if status == "succeeded" else "rejected" if status == "rejected" else "failed"


def _measured_fields(release: _Release) -> dict[str, Any]:
    """The fields of a model's state that describe its active release."""
    before, after = release.measured.reference, release.measured.chosen
    assert before.size_bytes  # noqa: S101  # a simulated model has one
    return {
        "active_version": release.version,
        "active_since": rfc3339(release.since),
        "method": after.method,
        "runtime": RUNTIME,
        "stale": False,
        "float_bytes": before.size_bytes,
        "model_bytes": after.size_bytes,
        "size_ratio": round((after.size_bytes or 0) / before.size_bytes, 4),
        **{f"float_{name}_ms": getattr(before, f"latency_{name}_ms") for name in ("p50", "p95", "p99")},
        **{f"{name}_ms": getattr(after, f"latency_{name}_ms") for name in ("p50", "p95", "p99")},
        "latency_ratio": after.ratio_p50,
        "latency_ratio_upper": after.ratio_p50_upper,
        "agreement": after.agreement,
        "agreement_lower": after.agreement_lower,
        "float_accuracy": before.accuracy,
        "accuracy": after.accuracy,
        "float_rss_bytes": before.steady_rss_bytes,
        "rss_bytes": after.steady_rss_bytes,
    }
