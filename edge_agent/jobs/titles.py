"""Titles of a result's numbers and gates for people: in tables, text and page. Pure."""

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
    "min_agreement": "the share of windows on which int8 agrees with float",
    "min_class_recall": "the share of a class's windows that int8 keeps, for the worst class",
    "max_accuracy_drop": "the accuracy that int8 loses against float on labelled windows",
    "min_sqnr_db": "the ratio of the outputs' signal to int8's error",
    "max_latency_ratio": "the time of a call, relative to float's",
    "max_size_ratio": "the size of the file and any optimised form, relative to float's",
    "max_memory_ratio": "the memory of the model, relative to float's, both as they are served",
    "max_peak_rss_bytes": "the peak memory of a process with the model",
    "min_gain": "the saving of int8 against float",
})  # fmt: skip
"""Gate → the quantity compared with its limit."""
