"""The page of a result: sound HTML, every number in it, nothing in it that a name could run."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.pages import Reader
from support.results import as_json, empty_result
from support.trained import windows, write_classifier

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.observer import Observer
from edge_agent.cli import main
from edge_agent.errors import CODES
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.measured_outputs import ClassKept, OutputSummary
from edge_agent.jobs.result import GateResult, LayerLoss, MeasuredModel, Result
from edge_agent.jobs.titles import GATES
from edge_agent.jobs.value_histogram import MAX_BINS, MAX_HISTOGRAMS, ValueHistogram
from edge_agent.report.page import render
from edge_agent.report.text import render as as_text
from edge_agent.wire.manifest import Gates
from edge_agent.worker.artefacts import HISTOGRAMS_FILE, RANGES_FILE, save_histograms
from edge_agent.worker.explain.evidence import read_evidence

HOSTILE = "</title></style></svg></pre><script>alert('x')</script><img src=x onerror=\"alert(1)\">&amp;"
FLOAT = MeasuredModel(
    method="float", runtime="onnxruntime", runtime_version="1.32.0", threads=1, size_bytes=545_293,
    latency_p50_ms=0.412, latency_p95_ms=0.443, latency_p99_ms=0.501, peak_rss_bytes=61_000_000,
    model_rss_bytes=3_100_000, accuracy=0.952,
)  # fmt: skip
INT8 = MeasuredModel(
    method="static", calibration="percentile", operators="core", per_channel=True, float_layers=["head"],
    runtime="onnxruntime", runtime_version="1.32.0", threads=1, size_bytes=152_000, latency_p50_ms=0.301,
    latency_p95_ms=0.337, latency_p99_ms=0.373, ratio_p50=0.731, ratio_p50_upper=0.748, ratio_p50_same_runtime=0.731,
    ratio_confidence=0.975, preference=-0.4213,
    peak_rss_bytes=60_000_000, model_rss_bytes=2_100_000, windows=311, windows_effective=287.5, disagreements=3,
    agreement=0.989, agreement_lower=0.974, sqnr_db=31.24, cosine=0.9987, max_abs_error=0.2345, accuracy=0.949,
    gates=[
        GateResult("min_agreement", 0.951, 0.974, passed=True),
        GateResult("max_latency_ratio", 1.02, 0.748, passed=False, margin=0.02),
        GateResult("min_gain", 0.2, 0.7212, passed=True, axis="size"),
        GateResult("max_peak_rss_bytes", 104_857_600, 60_000_000, passed=True),
    ],
)  # fmt: skip
OTHER = MeasuredModel(
    method="static", calibration="mse", operators="all", per_channel=True, runtime="onnxruntime", threads=1,
    size_bytes=149_000, latency_p50_ms=0.287, ratio_p50=0.699, agreement=0.91, sqnr_db=19.55, pareto=True,
    preference=-0.4321,
    code="agreement_too_low", message="14 of 155 windows disagree",
)  # fmt: skip
LAYER = {
    "name": "/conv", "op": "Conv", "tensor": "inner", "sqnr_db": 17.31, "weights_sqnr_db": 41.24,
    "activations_sqnr_db": 17.31, "cause": "few large values stretch the range", "remedy": "leave it float",
    "float_cost_ms": 0.0173,
}  # fmt: skip


def accepted() -> dict[str, Any]:
    searched = msgspec.structs.replace(INT8, agreement_lower=None, gates=[], pareto=True)
    return empty_result() | {
        "verdict": "accepted",
        "code": "accepted",
        "message": "int8 does what float does in 308 of 311 held-out windows",
        "reference": msgspec.to_builtins(FLOAT),
        "chosen": msgspec.to_builtins(INT8),
        "candidates": [msgspec.to_builtins(OTHER), msgspec.to_builtins(searched)],
        "layers": [LAYER],
        "data": {
            "calibration": {"windows": 667},
            "search": {"windows": 333},
            "heldout": None,
            "warnings": ["few rows"],
        },
        "device": {"cpu": "AMD EPYC", "cores": 2, "memory_bytes": 25_276_514_304, "governor": ""},
        "seconds": {"capture": 0.4, "calibrate": 1.27, "quantize": 6.6},
    }


def rejected() -> dict[str, Any]:
    return accepted() | {
        "verdict": "rejected", "code": "latency_too_high", "message": "int8 takes 1.3 of float's time", "chosen": None,
    }  # fmt: skip


def failed() -> dict[str, Any]:
    return empty_result() | {"verdict": "failed", "code": "already_quantized", "message": "weights are int8 already"}


def seen(values: Any) -> Histogram:
    histogram = Histogram()
    histogram.add(np.asarray(values, np.float32))
    return histogram


def page(result: Mapping[str, Any], model: str = "har.onnx", name: str = "inner") -> str:
    histograms = {name: seen(np.linspace(-2, 5, 999)), "unseen": Histogram()}
    ranges = {"percentile": {name: Range(-1.25, 4.5), "unseen": Range(0, 1)}}
    return render(lenient(result, Result), model=model, histograms=histograms, ranges=ranges)


def test_an_optimised_form_is_told_and_counts_as_size() -> None:
    formed = msgspec.structs.replace(INT8, form_bytes=150_000)
    result = accepted() | {"chosen": msgspec.to_builtins(formed)}

    (line,) = [line for line in as_text(lenient(result, Result)).splitlines() if "optimised for this device" in line]
    assert line.split() == ["optimised", "for", "this", "device", "-", "146.5", "KiB"]
    text = page(result)
    assert "294.9 KiB, its optimised form included" in text
    assert "0.554" in text
    assert "optimised" not in page(accepted())


@pytest.mark.parametrize("result", [accepted(), rejected(), failed()], ids=["accepted", "rejected", "failed"])
def test_any_verdict_is_a_sound_page_that_needs_nothing_else(result: dict[str, Any]) -> None:
    text = page(result)
    read = Reader(text)

    assert text.startswith("<!doctype html>")
    assert read.tags["script"] == read.tags["link"] == read.tags["img"] == 0
    assert not [value for name, value in read.attributes if name in ("src", "href", "style") or name.startswith("on")]
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"url\(|@import", text)
    assert result["message"] in read.text
    assert result["verdict"] in read.text


def test_what_the_result_says_is_shown() -> None:
    text = Reader(page(accepted())).text

    for shown in (
        *("532.5 KiB", "148.4 KiB", "0.412 ms", "0.443 ms", "0.501 ms", "0.301 ms", "0.337 ms", "0.373 ms"),
        *(
            "58.2 MiB",
            "57.2 MiB",
            "3.0 MiB",
            "2.0 MiB",
            "0.731",
            "at most 0.748 (97.5 %)",
            "-0.421",
            "-0.432",
            "311",
            "287.5",
            "98.9 %",
            "97.4 %",
        ),
        *("31.2 dB", "0.9987", "0.2345", "95.2 %", "94.9 %", "0.951", "1.02", "100 MiB"),
        *("0.699", "91.0 %", "19.6 dB", "14 of 155 windows disagree", "17.3 dB", "41.2 dB", "0.0173 ms"),
        *("667", "333", "few rows", "AMD EPYC", "23.5 GiB", "0.4 s", "1.3 s", "6.6 s", "head", "pass", "FAIL"),
        *("few large values stretch the range", "leave it float", "range [-1.25, 4.5]"),
    ):
        assert shown in text, shown


def labelled() -> dict[str, Any]:
    """A rejected result whose labelled set was opened."""
    result = rejected()
    result["data"]["eval"] = {
        "windows": 431, "windows_effective": 402.5, "agreement": 0.971, "decides": True,
        "metrics": [
            {"name": "accuracy", "float": 0.9521, "int8": 0.9114, "drop": 0.0407, "drop_upper": 0.0622},
            {"name": "mae", "float": 0.1234, "int8": None, "drop": None, "drop_upper": None},
        ],
        "classes": [{"label": HOSTILE, "windows": 57, "float_right": 53, "int8_right": 29}],
    }  # fmt: skip
    gate = {"name": "max_accuracy_drop", "limit": 0.03, "value": 0.0622, "passed": False, "on": "eval"}
    result["candidates"][0] |= {"agreement_lower": 0.96, "gates": [gate]}
    return result


def test_the_margin_of_a_limit_and_the_axis_of_a_gain_are_told_on_page_and_terminal() -> None:
    result = lenient(accepted(), Result)

    page, text = render(result, model="m", histograms={}, ranges={}), as_text(result)

    assert "at most 1.02<small> (2 % margin)</small>" in page
    assert "min_gain (size)" in page
    assert "FAIL  max_latency_ratio: 0.748 (limit 1.02, a margin of 2 % included)" in text
    assert "pass  min_gain (size): 0.7212 (limit 0.2)" in text


def test_the_labelled_set_has_its_section() -> None:
    read = Reader(page(labelled()))

    for shown in (
        *("Labelled set", "431", "402.5", "97.1 %", "95.2 %", "91.1 %", "4.1 %", "6.2 %", "0.1234"),
        *("mean absolute error", "57", "53", "29", "24", HOSTILE, "on the labelled set"),
    ):
        assert shown in read.text, shown
    assert "does not decide" not in read.text
    assert "Labelled set" not in Reader(page(rejected())).text
    assert read.tags["script"] == read.tags["img"] == 0


def test_where_fp16_was_judged_no_section_calls_it_int8() -> None:
    result = labelled()
    result["layers"], result["message"] = [], "fp16 refused"
    result["candidates"] = [result["candidates"][0] | {"method": "float16", "message": "fp16 refused"}]
    result["data"]["detections"] = {"found": 9, "reference": 10, "confirmed": 9, "target": 10}
    decoded = lenient(result, Result)

    shown, text = Reader(page(result)).text, as_text(decoded)

    for said in (
        "fp16 agrees with float in",
        "fp16 right",
        "Classes that fp16 gets right",
        "the accuracy that fp16 loses",
    ):
        assert said in shown, said
    assert "float's boxes that fp16 finds: 9 of 10" in text
    assert "float 0.9521, fp16 0.9114" in text
    for said in ("int8 agrees", "int8 right", "that int8"):
        assert said not in shown, said
    assert "int8" not in text


def test_a_class_that_is_not_kept_is_told_of_on_page_and_terminal() -> None:
    """Also where there is but one output, whose numbers are the gates' otherwise."""
    classes = [ClassKept("b", 15, 0.4, 0.19), ClassKept("a", 40, 1.0, 0.92)]
    result = accepted()
    result["data"]["outputs"] = [
        msgspec.to_builtins(OutputSummary(name="y", kind="classes", found="", classes=classes))
    ]

    shown, text = Reader(page(result)).text, as_text(lenient(result, Result))

    assert "of the 15 windows to which float gives it; at least 19" in shown
    assert "class b" in shown
    assert "    class b: 40.00% of 15 windows kept, at least 19.00%" in text
    assert "class a" not in text


def test_the_result_object_is_in_the_page_as_it_is() -> None:
    class Whole(Reader):
        def handle_data(self, data: str) -> None:
            if "pre" in self.open:
                self.words.append(data)

    assert json.loads("".join(Whole(page(rejected())).words)) == as_json(lenient(rejected(), Result))


def test_what_is_not_known_is_a_dash_and_a_failed_job_shows_no_empty_part() -> None:
    text = Reader(page(failed())).text

    assert CODES["already_quantized"].remedy in text
    assert "Gates" not in text
    assert "None" not in text
    assert "nan" not in text.lower().split()


def test_a_rejected_job_says_what_to_do_and_shows_the_candidate_that_was_judged() -> None:
    text = Reader(page(rejected())).text

    assert CODES["latency_too_high"].remedy in text
    assert "int8, not accepted" in text
    assert "chosen" not in text.replace("ranges that percentile chose", "")


def test_names_of_others_cannot_become_markup() -> None:
    result = rejected()
    result["layers"] = [LAYER | {"name": HOSTILE, "op": HOSTILE, "tensor": HOSTILE, "cause": HOSTILE}]
    result["device"] = {HOSTILE: HOSTILE}
    result["message"] = result["candidates"][0]["message"] = HOSTILE
    result["candidates"][0]["float_layers"] = [HOSTILE]
    result["data"]["warnings"] = [HOSTILE]
    result["seconds"] = {HOSTILE: 1.5}

    read = Reader(page(result, model=HOSTILE, name=HOSTILE))

    assert read.tags["script"] == read.tags["img"] == 0
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert read.text.count(HOSTILE) >= 8, "shown as it is, and as text"


def test_the_plot_marks_front_choice_and_limit_and_names_every_point() -> None:
    text = page(accepted())
    read = Reader(text)

    assert read.text.count("agreement_too_low") == 1, "the sentence says it; what to do about it is said once"
    assert ("class", "chosen") in read.attributes
    assert ("class", "front") in read.attributes
    assert "1: static · mse · operators: all · per channel" in read.text
    assert "2: static · percentile · operators: core · per channel · 1 layer float" in read.text


def test_candidates_that_are_equally_close_have_no_plot() -> None:
    result = accepted()
    for record in result["candidates"]:
        record |= {"agreement": 1.0, "sqnr_db": None}

    assert "figure" not in Reader(page(result)).tags


VALUES = ValueHistogram(
    low=-2.5, width=0.25, counts=[3, 0, 17, 900, 2], smallest=-2.25, largest=-1.5, range_low=-2.0, range_high=-1.75,
    zeros=0.125, sqnr_db=12.34,
)  # fmt: skip


def drawn(*told: ValueHistogram, **more: Any) -> Reader:
    layers = [LayerLoss(name=f"l{place}", tensor=f"t{place}", histogram=one) for place, one in enumerate(told)]
    result = Result(verdict="rejected", code="sqnr_too_low", layers=layers)
    return Reader(render(result, model="m", histograms={}, ranges={}, **more))


def test_the_histograms_of_a_result_are_drawn_without_what_calibration_left() -> None:
    read = drawn(VALUES)

    for shown in ("t0", "12.3 dB", "range [-2, -1.75]", "values [-2.25, -1.5]", "12.5 % zeros"):
        assert shown in read.text, shown
    bars = [value for name, value in read.attributes if name == "class" and value in ("in", "cut")]
    assert len(bars) == 4, "an empty bin has no bar"
    assert set(bars) == {"in", "cut"}
    assert "-1.75 -1.5 900" in " ".join(read.text.split()), "the same as a table"


def test_only_the_worst_tensors_are_drawn() -> None:
    text = drawn(*[VALUES] * 20).text

    assert f"t{MAX_HISTOGRAMS - 1} " in text
    assert f"t{MAX_HISTOGRAMS} " not in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": []},
        {"counts": [0, 0]},
        {"counts": [-5, 10**18] * 5000},
        {"width": 0.0},
        {"width": -1.0},
        {"width": 1e308, "counts": [1] * 64},
        {"low": -1.7e308, "range_low": 1.7e308, "range_high": -1.7e308},
        {"smallest": 1e300, "largest": -1e300, "zeros": -7.0, "sqnr_db": -1e308},
    ],
)
def test_a_histogram_of_impossible_numbers_breaks_nothing(wrong: dict[str, Any]) -> None:
    read = drawn(msgspec.structs.replace(VALUES, **wrong))

    assert "t0" in read.text
    assert sum(read.tags.values()) < 500
    assert not [value for _, value in read.attributes if value in ("nan", "inf", "-inf")]


def test_evidence_is_read_as_calibration_left_it(tmp_path: Path) -> None:
    observer = Observer(["a.b", "c"])
    observer.add("a.b", np.array([1.0, -2.0, 0.0]))
    observer.add("c", np.array([3.0]))
    save_histograms(tmp_path / HISTOGRAMS_FILE, observer)
    told = {"windows": 3, "runtimes": [], "float_pass_s": 0.1, "second_pass": [], "ranges": {"mse": {"a.b": [-2, 1]}}}
    (tmp_path / RANGES_FILE).write_text(json.dumps(told))

    found = read_evidence(tmp_path)

    assert list(found.histograms) == ["a.b", "c"]
    assert (found.histograms["a.b"].low, found.histograms["a.b"].zeros) == (-2.0, 1)
    assert found.ranges == {"mse": {"a.b": Range(-2.0, 1.0)}}


def test_a_job_without_calibration_has_no_evidence(tmp_path: Path) -> None:
    assert not read_evidence(tmp_path / "calibrate").histograms


def quantize(folder: Path, *arguments: object) -> int:
    np.savez(folder / "c.npz", x=windows(120, seed=2)[0])
    command = ["quantize", "--calibration", folder / "c.npz", "--out", folder / "out", "--json", *arguments]
    return main(list(map(str, command)))


def test_a_model_that_failed_has_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")

    code = quantize(tmp_path, tmp_path / "broken.onnx", "--report", tmp_path / "p.html")

    assert code == 5
    text = Reader((tmp_path / "p.html").read_text()).text
    assert json.loads(capsys.readouterr().out)["message"] in text
    assert "broken.onnx" in text


@pytest.mark.children(covered=False)
def test_a_model_that_was_measured_has_its_tensors_in_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_classifier(tmp_path / "classifier.onnx")
    # A limit that no candidate meets ends the job where they are screened: the page has all but a verdict.
    (tmp_path / "R.toml").write_text(
        "[recipe]\ncalibration = 'minmax'\nsearch_budget_s = 1e-6\n[gates]\nmax_latency_ratio = 0.01\n"
    )

    quantize(tmp_path, model, "--recipe", tmp_path / "R.toml", "--report", tmp_path / "out" / "page.html")

    result = json.loads(capsys.readouterr().out)
    read = Reader((tmp_path / "out" / "page.html").read_text())
    assert result["candidates"]
    lossy = [layer for layer in result["layers"] if layer["remedy"] != "nothing to do"]
    assert all(layer["cause"] in read.text for layer in lossy)
    assert "nothing to do" not in read.text
    first = next(layer for layer in result["layers"] if layer["tensor"])
    assert first["tensor"] in read.text
    assert len(first["histogram"]["counts"]) == MAX_BINS
    assert sum(first["histogram"]["counts"]) > 100
    assert first["histogram"]["range_low"] < first["histogram"]["range_high"]
    assert read.tags["svg"] > 1


@pytest.mark.parametrize("page", ["c.npz", "missing/p.html", "p.txt", "out/stages/p.html"])
def test_a_page_that_cannot_be_written_is_said_before_anything_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], page: str
) -> None:
    model = write_classifier(tmp_path / "classifier.onnx")

    code = quantize(tmp_path, model, "--report", tmp_path / page)

    assert code == 2
    assert "--report" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_each_code_stands_with_what_to_do() -> None:
    result = rejected()
    result["data"]["outputs"] = [
        msgspec.to_builtins(OutputSummary(name="y", kind="raw", found="", code="output_ruined", message="m")),
        msgspec.to_builtins(OutputSummary(name="z", kind="raw", found="")),
    ]
    result["data"]["findings"] = [{"code": "drift", "message": "it moved", "refuse": False}]

    text = Reader(page(result)).text

    for code in ("latency_too_high", "output_ruined", "drift", "agreement_too_low"):
        assert CODES[code].remedy in text, code


def test_each_gate_says_what_it_is_about() -> None:
    told = set(Gates.__struct_fields__) - {"latency_margin"}

    assert set(GATES) == told
    assert GATES["min_agreement"] in Reader(page(accepted())).text
