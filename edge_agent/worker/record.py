"""The record of one model in the result object: every key that a reader may rely on, from the start. Pure.

Reference, chosen and each candidate are the same record. What is not known (yet) and what is not finite is null, never
a placeholder number. Nothing here measures or judges.
"""

import math
from typing import Any

import msgspec

MAX_CANDIDATES = 24
MAX_LAYERS = 20


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one model. Sizes in bytes, times in milliseconds, ratios are target / reference at p50."""

    method: str
    """float | static | dynamic | uniform."""
    calibration: str | None = None
    """The range method of a static candidate."""
    operators: str | None = None
    """Which are int8: ``all`` that the method can quantize, ``core`` (convolutions and products) or ``products``."""
    types: str | None = None
    """Of activations and weights: ``u8s8``, ``s8s8`` or ``u8u8``, unsigned or signed."""
    per_channel: bool | None = None
    float_layers: list[str] = []
    runtime: str | None = None
    runtime_version: str | None = None
    threads: int | None = None
    size_bytes: int | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    ratio_p50: float | None = None
    ratio_p50_upper: float | None = None
    """Exact one-sided 95 % bound of the ratio."""
    ratio_p50_same_runtime: float | None = None
    peak_rss_bytes: int | None = None
    """VmHWM of a process with this model alone."""
    model_rss_bytes: int | None = None
    """The same, less an empty runtime's."""
    windows: int | None = None
    windows_effective: float | None = None
    disagreements: int | None = None
    agreement: float | None = None
    agreement_lower: float | None = None
    """Exact one-sided 95 % bound of the agreement."""
    sqnr_db: float | None = None
    cosine: float | None = None
    max_abs_error: float | None = None
    accuracy: float | None = None
    gates: list[dict[str, Any]] = []
    """``{name, limit, value, passed}`` each."""
    pareto: bool | None = None
    """Whether no other candidate is both faster and closer to float (candidates only)."""
    code: str | None = None
    """Why a candidate was dropped (candidates only)."""
    message: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types with all keys; non-finite numbers are None."""
        plain: dict[str, Any] = finite(msgspec.to_builtins(self))
        return plain


def finite(value: Any) -> Any:
    """``value`` with every non-finite float in it replaced by None, as JSON has none."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case list() | tuple():
            return [finite(item) for item in value]
    return value
