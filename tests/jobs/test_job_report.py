"""What a report leaves out where it would be too large, and what of it stays."""

from typing import Any

import msgspec
import pytest

from edge_agent.jobs.job import Job
from edge_agent.jobs.job_report import encode_report, job_report
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import LayerLoss, MeasuredModel, Result
from edge_agent.jobs.value_histogram import MAX_BINS, MAX_HISTOGRAMS, ValueHistogram
from edge_agent.wire.messages import MAX_REPORT_BYTES, JobReport, decode

JOB = Job(id="0" * 16, model="har", version=1, digest="", scope="d/pi-01", created=0, code="accepted", message="m")
VALUES = ValueHistogram(
    low=-1.2345678901234567e-12, width=1.2345678901234567e-12, counts=[2**53] * MAX_BINS, smallest=-1.2345678901234567,
    largest=1.2345678901234567, range_low=-1.2345678901234567, range_high=1.2345678901234567, zeros=1 / 3,
    sqnr_db=1 / 3,
)  # fmt: skip


def layers(cause: str, count: int = 20) -> list[LayerLoss]:
    return [
        LayerLoss(name=f"l{place}", cause=cause, histogram=VALUES if place < MAX_HISTOGRAMS else None)
        for place in range(count)
    ]


def reported(result: Result) -> dict[str, Any]:
    report = job_report(JOB, device="pi-01", boot_id="", seq=1, now=0, message="m", release="")
    data = encode_report(report, result)
    assert len(data) <= MAX_REPORT_BYTES
    return decode(data, JobReport).results


def test_the_histograms_are_a_small_part_of_a_report() -> None:
    with_them = len(msgspec.json.encode(layers("")))

    assert with_them - len(
        msgspec.json.encode([msgspec.structs.replace(one, histogram=None) for one in layers("")])
    ) < (MAX_REPORT_BYTES // 4)


def test_a_report_brings_the_histograms_to_its_reader() -> None:
    assert lenient(reported(Result(layers=layers("short"))), Result).layers[0].histogram == VALUES


@pytest.mark.parametrize(
    ("result", "lost", "stays"),
    [
        (Result(layers=layers("y" * 2900)), "histograms", "layers"),
        (Result(layers=layers("y" * 6000), candidates=[MeasuredModel()]), "layers", "candidates"),
        (Result(candidates=[MeasuredModel(message="y" * 6000)] * 24), "candidates", "data"),
    ],
)
def test_a_reader_misses_the_histograms_first_and_is_told(result: Result, lost: str, stays: str) -> None:
    told = reported(result)

    assert told[stays]
    assert f"{lost} left out: the report was too large" in told["data"]["warnings"]
    assert not any(one["histogram"] for one in told["layers"])
