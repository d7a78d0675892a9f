"""What the numbers of a result's records are called wherever people see them: tables, text and page. Pure."""

from types import MappingProxyType

TITLES = MappingProxyType({
    "size_bytes": "size",
    "latency_p50_ms": "latency p50",
    "latency_p95_ms": "latency p95",
    "latency_p99_ms": "latency p99",
    "ratio_p50": "latency ratio",
    "ratio_p50_upper": "latency ratio, at most",
    "preference": "preference",
    "peak_rss_bytes": "peak RSS",
    "model_rss_bytes": "RSS of the model",
    "loaded_rss_bytes": "RSS, loaded",
    "steady_rss_bytes": "RSS, steady",
    "load_ms": "time to load",
    "first_ms": "first call",
    "accuracy": "accuracy",
    "agreement": "agreement",
    "agreement_lower": "agreement, at least",
    "windows": "windows",
    "windows_effective": "windows, effective",
    "disagreements": "disagreements",
    "sqnr_db": "SQNR",
    "cosine": "cosine",
    "max_abs_error": "largest error",
})  # fmt: skip
"""Key of a record → its title."""
