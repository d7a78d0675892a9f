"""The page of a job: how far it is, how it ended and what to do, whatever its report says."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.pages import Reader

from edge_agent.errors import CODES
from edge_agent.jobs.result import LayerLoss, MeasuredModel, Result
from edge_agent.jobs.task import Stage
from edge_agent.jobs.value_histogram import ValueHistogram
from edge_agent.report.html.markup import join
from edge_agent.wire.messages import JobReport
from host_tools.dashboard.live.parts import contents
from host_tools.dashboard.pages.job import parts_of
from host_tools.dashboard.widgets.stages import about, step_of

HOSTILE = "</title></style></svg></pre><script>alert('x')</script><img src=x onerror=\"alert(1)\">&amp;"
NOW = 1_800_000_000.0


def report(results: dict[str, Any] | Result | None = None, **fields: Any) -> JobReport:
    told = msgspec.to_builtins(results) if isinstance(results, Result) else results or {}
    about = {"device": "pi-01", "job": "a" * 16, "model": "har", "version": 3, "started": "2027-01-15T07:50:00Z"}
    return JobReport(**about | {"stage": "capture", "status": "in_progress"} | fields, results=told)


def drawn(one: JobReport, *, online: bool = True) -> Reader:
    return Reader(join(*map(contents, parts_of(one, NOW, online=online).values())))


def test_a_job_under_way_shows_what_it_does_and_how_long_yet() -> None:
    one = report(
        progress=0.31, detail="capturing from 'imu': 310 of 1000 samples", eta_s=138.0, seconds={"receive": 1.2}
    )

    read = drawn(one)

    for shown in ("310 of 1000 samples", "About 2 min left", "1.2 s", "31 %", "under way"):
        assert shown in read.text, shown
    assert ("value", "31") in read.attributes
    assert [step_of(stage, one) for stage in Stage] == ["done", "now", *["todo"] * 5]


def test_what_is_known_before_the_end_is_shown_as_that() -> None:
    float_alone = drawn(report(Result(reference=MeasuredModel(size_bytes=4096))))
    tried = drawn(report(Result(candidates=[MeasuredModel(method="static", size_bytes=1024)])))

    assert "4.0 KiB" in float_alone.text
    assert "so far" not in float_alone.text
    assert "int8, so far" in tried.text
    assert "not accepted" not in tried.text


def test_a_device_that_went_away_in_the_middle_is_said() -> None:
    assert "is offline" in drawn(report(), online=False).text
    assert "is offline" not in drawn(report()).text


@pytest.mark.parametrize(
    ("status", "code", "stage", "steps"),
    [
        ("succeeded", "accepted", "activate", ["done"] * 7),
        ("rejected", "latency_too_high", "validate", [*["done"] * 4, "ended", "todo", "todo"]),
        ("failed", "source_busy", "capture", ["done", "ended", *["todo"] * 5]),
        ("canceled", "superseded", "quantize", [*["done"] * 3, "ended", *["todo"] * 3]),
    ],
)
def test_an_end_says_why_and_what_to_do(status: str, code: str, stage: str, steps: list[str]) -> None:
    one = report(status=status, code=code, stage=stage, message="So it is.")

    read = drawn(one)

    assert "So it is." in read.text
    assert "Cancel" not in read.text
    assert [step_of(each, one) for each in Stage] == steps
    if status != "succeeded":
        assert CODES[code].remedy in read.text


def test_findings_stand_with_what_to_do_and_not_twice() -> None:
    found = {"code": "drift", "message": "channel ax moved one way", "refuse": False}
    results = {"data": {"findings": [found], "warnings": ["channel ax moved one way", "few rows"]}}

    read = drawn(report(results, status="rejected", code="sqnr_too_low", stage="validate"))

    assert read.text.count("channel ax moved one way") == 1
    assert CODES["drift"].remedy in read.text
    assert "few rows" in read.text


def test_a_report_brings_its_histograms_to_the_page() -> None:
    values = ValueHistogram(
        low=0, width=1, counts=[5, 0, 9], smallest=0, largest=3, range_low=0, range_high=2, zeros=0, sqnr_db=21.5
    )
    layers = [LayerLoss(name="head", tensor="inner", sqnr_db=11.25, histogram=values)]
    result = Result(candidates=[MeasuredModel(method="static", calibration="mse")], layers=layers)

    read = drawn(report(result, status="rejected", code="sqnr_too_low", stage="validate"))

    for shown in ("inner", "21.5 dB", "that mse chose", "range [0, 2]"):
        assert shown in read.text, shown


def test_a_report_of_version_0_1_is_drawn() -> None:
    old = {
        "verdict": "accepted", "code": "accepted", "message": "m", "reference": {"size_bytes": 4096}, "layers": None,
        "chosen": {"method": "static", "size_bytes": 1024, "ratio_p50": 0.5, "gates": [
            {"name": "min_agreement", "limit": 0.95, "value": 0.97, "passed": True},
        ]},
        "data": {"calibration": {"windows": 9}}, "seconds": {"capture": 3},
    }  # fmt: skip

    read = drawn(report(old, status="succeeded", code="accepted", stage="activate", message="m"))

    for shown in ("0.500", "1.0 KiB", "at least 0.95", "pass"):
        assert shown in read.text, shown


def test_words_of_a_device_are_words() -> None:
    layer = LayerLoss(name=HOSTILE, op=HOSTILE, tensor=HOSTILE, cause=HOSTILE, remedy=HOSTILE)
    result = msgspec.to_builtins(Result(layers=[layer], message=HOSTILE))
    result["seconds"] = {HOSTILE: 1}
    result["data"]["findings"] = [{"code": HOSTILE, "message": HOSTILE, "refuse": True}]
    fields = dict.fromkeys(("stage", "status", "code", "message", "detail", "release", "started", "ts"), HOSTILE)

    for read in (drawn(report(result, **fields)), drawn(report(result, detail=HOSTILE, seconds={HOSTILE: 1.0}))):
        assert read.text.count(HOSTILE) > 4
        assert not read.tags["script"]
        assert not read.tags["img"]
        assert not [name for name, _ in read.attributes if name.startswith("on") or name == "style"]


@pytest.mark.parametrize(
    "results",
    [
        {"candidates": [{}] * 10_000, "layers": [{"name": "x"}] * 5000},
        {"candidates": [{"gates": [{"name": "g", "limit": 1, "value": 2, "passed": True}] * 900}] * 3},
        {"data": {"warnings": ["w"] * 9000, "findings": [{"code": "c", "message": "m", "refuse": True}] * 900}},
        {"data": {"outputs": [{"name": "o", "kind": "raw", "found": "", "groups": [{"channels": "0"}] * 500}] * 500}},
        {"device": {"board": "b" * 60_000, "temperature_c": {f"zone{n}": n for n in range(3000)}}},
        {"seconds": {f"s{n}": 1e308 for n in range(4000)}},
        {"reference": {"size_bytes": 1}, "chosen": {"size_bytes": 10**400, "ratio_p50": 1e308, "windows": -(2**63)}},
        {"candidates": [{"ratio_p50": -1.7e308, "sqnr_db": 1.7e308}, {"ratio_p50": 1.7e308, "sqnr_db": -1.7e308}]},
        {"data": json.loads("[" * 300 + "]" * 300)},
        {"verdict": 7, "chosen": [], "candidates": {}, "layers": "no", "data": None, "seconds": "long"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_page_stays_small_and_whole_whatever_the_results_are(results: dict[str, Any]) -> None:
    read = drawn(report(results, status="rejected", code="no_candidate", stage="quantize", message="m"))

    assert sum(read.tags.values()) < 20_000
    assert not [value for _, value in read.attributes if value in ("nan", "inf", "-inf")]


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1) | st.none()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(["in_progress", "rejected", "succeeded", "what"]))
def test_any_numbers_make_a_page(data: st.DataObject, status: str) -> None:
    def measured() -> dict[str, Any]:
        told: dict[str, Any] = {name: data.draw(numbers) for name in MeasuredModel.__struct_fields__ if "_" in name}
        return told | {
            "gates": [{"name": "min_gain", "limit": data.draw(numbers), "value": data.draw(numbers), "passed": 1}]
        }

    results = {
        "reference": measured(),
        "candidates": [measured(), measured()],
        "seconds": {"capture": data.draw(numbers)},
    }
    fields = {"progress": data.draw(st.floats(allow_nan=False)), "eta_s": data.draw(st.floats(allow_nan=False))}

    read = drawn(report(results, status=status, **fields))

    assert "har 3 on pi-01" in read.text
    assert not [value for _, value in read.attributes if value in ("nan", "inf", "-inf")]


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "About 1 s"), (59, "About 59 s"), (138, "About 2 min"), (9000, "About 2 h")]
)
def test_a_time_that_is_left_is_told_as_exactly_as_it_is_known(seconds: float, told: str) -> None:
    assert about(seconds) == told
