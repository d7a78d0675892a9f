"""The table of a result, as text."""

import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from support.results import empty_result

from edge_agent.errors import CODES
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.titles import TITLES
from edge_agent.report import text
from edge_agent.report.html import cards
from edge_agent.wire.messages import JobReport
from host_tools.display.result_table import comparison, gates, render

REFERENCE: dict[str, Any] = {
    "method": "float", "runtime": "onnxruntime", "threads": 1, "size_bytes": 545_293, "latency_p50_ms": 0.412,
    "latency_p95_ms": 0.44, "latency_p99_ms": 0.501, "peak_rss_bytes": 61_000_000, "model_rss_bytes": 3_100_000,
    "loaded_rss_bytes": 2_500_000, "steady_rss_bytes": 2_700_000, "load_ms": 21.04, "first_ms": 0.9,
    "accuracy": 0.952,
}  # fmt: skip
INT8: dict[str, Any] = {
    "method": "static", "calibration": "percentile", "float_layers": ["head"], "runtime": "onnxruntime", "threads": 1,
    "size_bytes": 152_000, "latency_p50_ms": 0.301, "latency_p95_ms": 0.33, "latency_p99_ms": 0.37,
    "ratio_p50": 0.731, "ratio_p50_upper": 0.748, "ratio_confidence": 0.975, "preference": -0.4213,
    "peak_rss_bytes": 60_000_000, "model_rss_bytes": 2_100_000,
    "loaded_rss_bytes": 1_500_000, "steady_rss_bytes": 1_600_000, "load_ms": 15.5, "first_ms": 0.61,
    "windows": 300, "disagreements": 3, "agreement": 0.99, "agreement_lower": 0.974, "sqnr_db": 31.24,
    "accuracy": 0.949,
    "gates": [
        {"name": "min_agreement", "limit": 0.95, "value": 0.974, "passed": True},
        {"name": "max_latency_ratio", "limit": 1.02, "value": 0.748, "passed": True, "margin": 0.02},
        {"name": "min_gain", "limit": 0.05, "value": 0.252, "passed": True, "axis": "time"},
        {"name": "max_peak_rss_bytes", "limit": 104_857_600, "value": 60_000_000, "passed": True},
    ],
}  # fmt: skip
SECONDS = {"receive": 0.2, "capture": 12.04, "calibrate": 3.3}

ACCEPTED = """\
pi-01  har 7  succeeded
  int8 is active

                           float               int8
  size                 532.5 KiB          148.4 KiB  0.28 of float
  latency p50           0.412 ms           0.301 ms
  latency p95            0.44 ms            0.33 ms
  latency p99           0.501 ms            0.37 ms
  latency ratio                               0.731  at most 0.748 (97.5 %)
  preference                                 -0.421
  process RSS, peak     58.2 MiB           57.2 MiB  runtime and model
  model RSS, peak        3.0 MiB            2.0 MiB  without the runtime
  model RSS, loaded      2.4 MiB            1.4 MiB
  model RSS, in use      2.6 MiB            1.5 MiB  0.59 of float, float as usual: 4.8 MiB
  time to load             21 ms            15.5 ms
  first call              0.9 ms            0.61 ms
  agreement                                  99.0 %  at least 97.4 % (95 %)
  disagreements                            3 of 300
  SQNR                                      31.2 dB
  accuracy                95.2 %             94.9 %
  method                   float  static percentile  layers left float: 1
  runtime            onnxruntime        onnxruntime
  threads                      1                  1

  gate                    value             limit
  min_agreement           0.974              0.95  pass
  max_latency_ratio       0.748  1.02, 2 % margin  pass
  min_gain (time)         0.252              0.05  pass
  max_peak_rss_bytes  57.22 MiB           100 MiB  pass

  release  /var/lib/har/7
  seconds  receive 0.2, capture 12.0, calibrate 3.3"""


def report(status: str = "succeeded", code: str = "accepted", **more: Any) -> JobReport:
    fixed = {"device": "pi-01", "job": "0123456789abcdef", "model": "har", "version": 7, "stage": "activate"}
    return JobReport(**fixed, status=status, code=code, **more)


def text_of(one: JobReport) -> str:
    out = io.StringIO()
    Console(file=out, width=100, highlight=False, color_system=None).print(render(one))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_a_number_has_one_name_on_the_host_on_the_device_and_on_the_page() -> None:
    """``push-model``, ``edge-agent quantize`` and its page; what the host says beside a number, a row says there."""
    chosen = {**INT8, "form_bytes": 150_000, "cosine": 0.999, "max_abs_error": 0.1, "windows_effective": 250}
    result = {**empty_result(), "verdict": "accepted", "code": "accepted", "message": "", "reference": REFERENCE}
    result |= {"chosen": chosen, "candidates": [chosen]}

    host = {row[0] for row in comparison(lenient(result, Result))}
    device = {line.split("  ")[0].strip() for line in text.render(lenient(result, Result)).splitlines()[1:]}
    models = lenient(REFERENCE, MeasuredModel), lenient(chosen, MeasuredModel)
    page = set(re.findall(r"<dt>(.*?)</dt>", str(cards.comparison(lenient(result, Result), *models))))

    names = set(TITLES.values())
    beside = {"agreement, at least", "latency ratio, at most"}
    assert names - host == beside | {"windows", "windows, effective", "cosine", "largest error"}
    assert names - device == {"windows", "windows, effective", "disagreements", "cosine", "largest error"}
    assert names - page == {"latency ratio", "latency ratio, at most"}, "a figure of its own"
    assert page <= names


def test_an_optimised_form_counts_as_size() -> None:
    result = lenient({"reference": REFERENCE, "chosen": {**INT8, "form_bytes": 150_000}}, Result)

    size, form, *_ = comparison(result)

    assert size == ("size", "532.5 KiB", "148.4 KiB", "0.55 of float, the optimised form included")
    assert form == ("optimised for this device", "-", "146.5 KiB", "")
    assert "form_bytes" not in {row[0] for row in comparison(lenient({"chosen": INT8}, Result))}


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        ("rejected", "too_noisy", CODES["too_noisy"].remedy),
        ("failed", "source_silent", CODES["source_silent"].remedy),
        ("failed", "model_unsupported", ""),
        ("failed", "of_a_newer_device", ""),
        ("canceled", "superseded", ""),
        ("succeeded", "accepted", ""),
    ],
)
def test_what_to_do_stands_below_why(status: str, code: str, remedy: str) -> None:
    lines = text_of(report(status, code, message="because")).splitlines()

    assert lines[1] == "  because"
    assert [line for line in lines if "to do" in line] == ([f"  to do: {remedy}"] if remedy else [])


def test_a_message_that_says_what_to_do_is_not_contradicted() -> None:
    text = text_of(report("rejected", "non_finite", message="3 of 300 rows hold NaN or Inf; remove them"))

    assert "to do" not in text


def test_an_accepted_model() -> None:
    results = {"reference": REFERENCE, "chosen": INT8, "candidates": [INT8], "data": {"warnings": []}}
    results["usual"] = {"method": "float", "steady_rss_bytes": 5_000_000}

    text = text_of(
        report(message="int8 is active", release="/var/lib/har/7", seconds=SECONDS, results=results)
    )  # fmt: skip

    assert text == ACCEPTED


def test_fp16_that_was_not_judged_is_a_column_and_says_so() -> None:
    fp16 = INT8 | {"method": "float16", "float_layers": [], "size_bytes": 273_000, "ratio_p50": 1.1, "windows": 150}
    fp16 |= {"code": "no_gain", "message": "fp16 gains little; [gates] min_gain allows it", "disagreements": 0}
    results = {"reference": REFERENCE, "chosen": INT8, "candidates": [INT8], "fp16": fp16}

    lines = text_of(report(results=results | {"data": {"warnings": []}})).splitlines()

    rows = {line.strip().partition("  ")[0]: line.split() for line in lines if line.strip()}
    assert rows["float"] == ["float", "int8", "fp16"]
    assert rows["size"] == ["size", "532.5", "KiB", "148.4", "KiB", "266.6", "KiB", "0.28", "of", "float"]
    assert rows["latency ratio"][2:5] == ["0.731", "1.100", "at"]
    assert rows["disagreements"] == ["disagreements", "3", "of", "300", "0", "of", "150"]
    assert rows["accuracy"][-4:] == ["94.9", "%", "94.9", "%"]
    assert (
        "fp16 was compared on the search set and not judged; by that it would be refused: fp16 gains little; "
        "[gates] min_gain allows it"
    ) in " ".join(" ".join(lines).split())


def test_a_judged_float16_model_is_called_fp16() -> None:
    chosen = INT8 | {"method": "float16"}

    lines = text_of(report(results={"reference": REFERENCE, "chosen": chosen})).splitlines()

    assert ["float", "fp16"] in [line.split() for line in lines]


def test_nothing_unknown_becomes_a_number() -> None:
    rows = comparison(
        lenient({"reference": {"size_bytes": 10}, "chosen": {"size_bytes": None, "latency_p50_ms": None}}, Result)
    )

    assert {row[2] for row in rows} == {"-"}
    assert {row[3] for row in rows} == {""}
    assert [row[0] for row in rows] == ["size"], "a row in which nothing stands says nothing"


def test_a_failed_gate_stands_out_with_its_layers() -> None:
    failing = INT8 | {"gates": [{"name": "min_agreement", "limit": 0.95, "value": 0.81, "passed": False}]}
    layers = [{"name": "conv[1]", "op": "Conv", "sqnr_db": 3.2, "cause": "wide range", "remedy": "keep it float"}]
    results = {"reference": REFERENCE, "chosen": None, "candidates": [failing], "layers": layers}

    text = text_of(report("rejected", "agreement_too_low", message="52 of 300 windows disagree", results=results))

    assert "rejected agreement_too_low" in text
    assert "52 of 300 windows disagree" in text
    assert "FAIL" in text
    assert "conv[1]" in text, "a name in brackets is no markup"
    assert "keep it float" in text


def test_a_class_that_is_not_kept_is_a_row() -> None:
    classes = [
        {"label": "knock", "windows": 15, "recall": 0.4, "recall_lower": 0.19},
        {"label": "quiet", "windows": 40, "recall": 1.0, "recall_lower": 0.92},
    ]
    outputs = [{"name": "y", "kind": "classes", "found": "", "agreement": 0.98, "classes": classes}]
    results = {"reference": REFERENCE, "chosen": INT8, "candidates": [INT8], "data": {"outputs": outputs}}

    shown = text_of(report("rejected", "class_lost", results=results))

    assert re.search(r"class knock +of 15 windows +40\.0 %", shown)
    assert "quiet" not in shown


def test_layers_that_lose_nothing_are_no_rows() -> None:
    layers = [{"name": "conv", "op": "Conv", "sqnr_db": 50.0, "cause": "faithful by itself", "remedy": "nothing to do"}]
    lossy = {"name": "head", "op": "Gemm", "sqnr_db": 3.2, "cause": "wide range", "remedy": "leave it float"}

    both = text_of(report("rejected", "sqnr_too_low", results={"layers": [*layers, lossy]}))
    none = text_of(report("rejected", "sqnr_too_low", results={"layers": layers}))

    assert "head" in both
    assert "faithful by itself" not in both
    assert "worst layers" not in none


def test_a_labelled_set_without_a_metric_is_a_row_too() -> None:
    shown = EVALUATION | {"decides": False, "metrics": []}

    assert ("labelled windows", "", "1200", "does not decide") in comparison(
        lenient({"chosen": INT8, "data": {"eval": shown}}, Result)
    )


def test_a_job_that_failed_before_any_measurement() -> None:
    text = text_of(report("failed", "source_silent", message="nothing came from /dev/ttyUSB0 in 10 s"))

    assert text == (
        "pi-01  har 7  failed source_silent\n  nothing came from /dev/ttyUSB0 in 10 s\n"
        "  to do: check power, baud rate and framing"
    )


def test_where_the_sets_came_from_is_said() -> None:
    kept = {"used": True, "message": "the sets hold samples of 'imu' from Monday to Friday"}

    assert "the sets hold samples of 'imu' from Monday to Friday" in text_of(report(results={"data": {"kept": kept}}))


def test_warnings_are_said() -> None:
    results = {"data": {"warnings": ["only 120 held-out windows: a good model is refused in 12 of 100 cases"]}}

    assert "warning only 120 held-out windows" in text_of(report(results=results))


EVALUATION: dict[str, Any] = {
    "windows": 1200, "windows_effective": 1200.0, "agreement": 0.98, "decides": True,
    "metrics": [
        {"name": "accuracy", "float": 0.952, "int8": 0.931, "drop": 0.021, "drop_upper": 0.0288},
        {"name": "auc", "float": 0.98765, "int8": None, "drop": None, "drop_upper": None},
    ],
    "classes": [{"label": "fall[2]", "windows": 40, "float_right": 38, "int8_right": 21}],
}  # fmt: skip


def test_what_a_labelled_set_said_stands_beside_agreement() -> None:
    gate = {"name": "max_accuracy_drop", "limit": 0.03, "value": 0.0288, "passed": True, "on": "eval"}
    int8 = INT8 | {"gates": [*INT8["gates"], gate]}
    results = {"reference": REFERENCE, "chosen": int8, "data": {"warnings": [], "eval": EVALUATION}}

    rows = {row[0]: row[1:] for row in comparison(lenient(results, Result))}
    text = text_of(report(results=results))

    assert rows["labelled accuracy"] == ("95.2 %", "93.1 %", "drop 2.1 %, at most 2.9 % (95 %)")
    assert rows["labelled auc"] == ("0.9877", "-", "")
    assert rows["labelled windows"] == ("", "1200", "")
    assert gates(lenient(results, Result))[-1][0] == "max_accuracy_drop (labelled set)"
    assert "fall[2]" in text
    assert next(line.split()[1:] for line in text.splitlines() if "fall[2]" in line) == ["40", "38", "21"]


def test_a_labelled_set_that_did_not_decide_is_said_to() -> None:
    rows = comparison(lenient({"chosen": INT8, "data": {"eval": EVALUATION | {"decides": False}}}, Result))

    assert ("labelled windows", "", "1200", "does not decide") in rows


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(INT8)), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(["reference", "chosen", "candidates", "layers", "data", "code"]), _JSON))
def test_whatever_a_device_says_is_shown_or_said_to_be_unreadable(results: dict[str, Any]) -> None:
    text = text_of(report("rejected", "agreement_too_low", message="52 windows disagree", results=results))

    assert "52 windows disagree" in text


def test_a_bound_that_is_refused_does_not_look_like_its_limit() -> None:
    gate = {"name": "max_latency_ratio", "limit": 1.02, "value": 1.02003, "passed": False, "margin": 0.02}
    result = lenient({"chosen": {**INT8, "ratio_p50": 1.0164, "ratio_p50_upper": 1.02003, "gates": [gate]}}, Result)

    assert gates(result) == [("max_latency_ratio", "1.02003", "1.02, 2 % margin", False)]
    assert ("latency ratio", "", "1.016", "at most 1.020 (97.5 %)") in comparison(result)
    assert "FAIL  max_latency_ratio: 1.02003 (limit 1.02, " in text.render(result)
    assert "1.02003" in cards.gates(lenient({**INT8, "gates": [gate]}, MeasuredModel))


def test_a_gate_is_shown_in_its_unit() -> None:
    rows = gates(lenient({"chosen": INT8}, Result))

    assert rows[3] == ("max_peak_rss_bytes", "57.22 MiB", "100 MiB", True)
    assert rows[0] == ("min_agreement", "0.974", "0.95", True)
