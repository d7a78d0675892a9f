"""A job's stages as a strip: done, under way, and where the job ended. Pure."""

import math
from typing import Literal

from edge_agent.jobs.task import Stage
from edge_agent.report.html import numbers
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.wire.messages import JobReport

Step = Literal["done", "now", "ended", "todo"]
_NAMES: dict[Stage, tuple[str, str]] = {
    Stage.RECEIVE: ("Receive", "The model's file is transferred."),
    Stage.CAPTURE: ("Capture", "The device's own sensor provides the data for calibration and verdict."),
    Stage.CALIBRATE: ("Calibrate", "The range of each activation is measured."),
    Stage.QUANTIZE: ("Search", "Several int8 candidates are made and compared."),
    Stage.VALIDATE: ("Judge", "The best one is judged on data that was not used before."),
    Stage.BENCHMARK: ("Measure", "Its memory is measured beside float's."),
    Stage.ACTIVATE: ("Activate", "It becomes active, and is rolled back if it does not run."),
}
_MARKS: dict[Step, str] = {"done": "✓", "now": "◔", "ended": "■", "todo": "○"}
_SAID: dict[Step, str] = {"done": "done", "now": "under way", "ended": "ended here", "todo": "not started"}
_STAGES = list(Stage)
_MINUTE = 60.0


def name_of(stage: str) -> str:
    """The pages' name of a stage; any other word is returned unchanged."""
    return next((name for known, (name, _) in _NAMES.items() if known == stage), stage)


def strip(report: JobReport) -> Markup:
    """The seven stages with the time that each took, and the progress of the current one."""
    return element("ol", *(_step(stage, report) for stage in _STAGES), class_="strip", aria_label="Stages of the job")


def under_way(report: JobReport) -> Markup:
    """The current activity and its remaining time; empty for an ended job."""
    if report.ended:
        return Markup()
    stage = _stage_of(report)
    name, what = _NAMES[stage] if stage else ("", "")
    text = report.detail or report.message or what
    parts = [element("p", element("b", f"{name}: " if name else ""), text, class_="sentence")]
    if (left := report.eta_s) is not None and 0 <= left < math.inf:
        parts.append(element("p", f"{about(left)} left in this stage.", class_="note"))
    if what and text != what:
        parts.append(element("p", what, class_="note"))
    return join(*parts)


def about(seconds: float) -> str:
    """A remaining time, as exactly as it can be known."""
    if seconds < _MINUTE:
        return f"About {max(seconds, 1):.0f} s"
    minutes = seconds / _MINUTE
    return f"About {minutes:.0f} min" if minutes < 2 * _MINUTE else f"About {minutes / _MINUTE:,.0f} h"


def step_of(stage: Stage, report: JobReport) -> Step:
    """The state of a stage."""
    current = _stage_of(report)
    if report.status == "succeeded":
        return "done"
    if current is None or _STAGES.index(stage) > _STAGES.index(current):
        return "todo"
    if stage is not current:
        return "done"
    return "ended" if report.ended else "now"


def _step(stage: Stage, report: JobReport) -> Markup:
    step, (name, what) = step_of(stage, report), _NAMES[stage]
    took = report.seconds.get(stage)
    told: list[str] = [] if took is None else [element("small", numbers.seconds(max(took, 0.0)))]
    if step == "now":
        done = f"{100 * max(0.0, min(report.progress, 1.0)):.0f}"
        told = [
            element("progress", max="100", value=done, aria_label=f"{name}: {done} %"),
            element("small", f"{done} %"),
        ]
    mark = element("span", _MARKS[step], class_="mark", aria_hidden="true")
    hidden = element("span", f", {_SAID[step]}", class_="unseen")
    return element(
        "li",
        element("b", mark, " ", name, hidden),
        *told,
        class_=f"step {step}",
        title=what,
        aria_current="step" if step == "now" else None,
    )


def _stage_of(report: JobReport) -> Stage | None:
    return next((stage for stage in _STAGES if stage == report.stage), None)
