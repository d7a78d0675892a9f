"""The label of a candidate, and the place of the chosen one."""

from collections.abc import Sequence

from edge_agent.jobs.result import MeasuredModel
from edge_agent.strict import counted

_MADE = ("method", "calibration", "operators", "types", "per_channel", "float_layers", "runtime", "threads")
"""The keys that distinguish candidates."""


def label(model: MeasuredModel) -> str:
    """The recipe of a model in words: ``static · percentile · operators: core · per channel``."""
    words = [one for one in (model.method, model.calibration, model.types) if one]
    if model.operators:
        words.append(f"operators: {model.operators}")
    if model.per_channel is not None:
        words.append("per channel" if model.per_channel else "per tensor")
    if model.float_layers:
        words.append(f"{counted(len(model.float_layers), 'layer')} float")
    return " · ".join(words)


def served(model: MeasuredModel) -> str:
    """Its runtime and threads: ``onnxruntime 1.32.0, 1 thread``."""
    runtime = " ".join(filter(None, (model.runtime, model.runtime_version)))
    threads = "" if model.threads is None else counted(model.threads, "thread")
    return ", ".join(filter(None, (runtime, threads)))


def place(chosen: MeasuredModel | None, candidates: Sequence[MeasuredModel]) -> int | None:
    """The index of ``chosen`` among the candidates: the one with the same recipe."""
    if chosen is None:
        return None
    return next((number for number, one in enumerate(candidates) if _made(one) == _made(chosen)), None)


def _made(model: MeasuredModel) -> list[object]:
    return [getattr(model, key) for key in _MADE]
