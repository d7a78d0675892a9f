"""What a candidate is called, and which of the candidates was chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

_MEASURED = frozenset({
    *("size_bytes", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "ratio_p50", "ratio_p50_upper"),
    *("ratio_p50_same_runtime", "peak_rss_bytes", "model_rss_bytes", "windows", "windows_effective", "disagreements"),
    *("agreement", "agreement_lower", "sqnr_db", "cosine", "max_abs_error", "accuracy", "gates", "pareto"),
    *("code", "message", "runtime_version"),
})  # fmt: skip
_SAID_APART = frozenset({"method", "operators", "per_channel", "float_layers", "runtime", "threads"})


def label(record: Mapping[str, Any]) -> str:
    """How a model was made, in words: ``static · percentile · operators: core · per channel``."""
    words = [str(record["method"])]
    words += [str(value) for key, value in _made(record).items() if key not in _SAID_APART and isinstance(value, str)]
    if operators := record.get("operators"):
        words.append(f"operators: {operators}")
    if (per_channel := record.get("per_channel")) is not None:
        words.append("per channel" if per_channel else "per tensor")
    if count := len(record.get("float_layers") or ()):
        words.append(f"{count} {'layer' if count == 1 else 'layers'} float")
    return " · ".join(words)


def served(record: Mapping[str, Any]) -> str:
    """What runs it: ``onnxruntime 1.32.0, 1 thread``."""
    runtime = " ".join(str(record[key]) for key in ("runtime", "runtime_version") if record.get(key))
    threads = record.get("threads")
    count = "" if threads is None else f"{threads} {'thread' if threads == 1 else 'threads'}"
    return ", ".join(filter(None, (runtime, count)))


def place(chosen: Mapping[str, Any] | None, candidates: Sequence[Mapping[str, Any]]) -> int | None:
    """The place of ``chosen`` among the candidates: the one that was made alike."""
    if chosen is None:
        return None
    alike = [number for number, record in enumerate(candidates) if _made(record) == _made(chosen)]
    return alike[0] if alike else None


def _made(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in _MEASURED}
