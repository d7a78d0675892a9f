"""What a result's numbers and gates are called wherever people see them: tables, text and page. Pure."""

from types import MappingProxyType

TITLES = MappingProxyType({
    "size_bytes": "size",
    "form_bytes": "optimised for this device",
    "latency_p50_ms": "latency p50",
    "latency_p95_ms": "latency p95",
    "latency_p99_ms": "latency p99",
    "ratio_p50": "latency ratio",
    "ratio_p50_upper": "latency ratio, at most",
    "preference": "preference",
    "peak_rss_bytes": "process RSS, peak",
    "model_rss_bytes": "model RSS, peak",
    "loaded_rss_bytes": "model RSS, loaded",
    "steady_rss_bytes": "model RSS, in use",
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

GATES = MappingProxyType({
    "min_agreement": "the part of the windows on which int8 does what float does",
    "min_class_recall": "the part of a class's windows that int8 keeps, of the class that it keeps least of",
    "max_accuracy_drop": "what int8 loses of float's accuracy on labelled windows",
    "min_sqnr_db": "how far the outputs' signal is above int8's error",
    "max_latency_ratio": "what a call takes of float's time",
    "max_size_ratio": "what the file takes of float's size, with its optimised form where there is one",
    "max_memory_ratio": "what the model takes of float's memory, both as they are served",
    "max_peak_rss_bytes": "the most memory that a process with the model takes",
    "min_gain": "what int8 saves over float",
})  # fmt: skip
"""Gate → what is held against its limit."""
