import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_agent.errors import StageError
from edge_agent.jobs.data_summary import Data
from edge_agent.jobs.outcome import Outcome, read_outcome, read_result
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import OUTCOME_FILE, WORKER_STAGES, Stage


def leave(job_dir: Path, stage: Stage, content: bytes) -> None:
    (job_dir / stage).mkdir()
    (job_dir / stage / OUTCOME_FILE).write_bytes(content)


def test_the_last_stage_that_ended_has_left_the_whole_result(tmp_path: Path) -> None:
    first = Result(data=Data(warnings=["few rows"]))
    last = msgspec.structs.replace(first, reference=MeasuredModel(method="float"))
    leave(tmp_path, Stage.CAPTURE, msgspec.json.encode(Outcome(results=first)))
    leave(tmp_path, Stage.CALIBRATE, msgspec.json.encode(Outcome(results=last)))
    leave(tmp_path, Stage.QUANTIZE, msgspec.json.encode(Outcome(code="no_candidate", message="none")))

    assert read_result(tmp_path) == last
    assert read_outcome(tmp_path, Stage.QUANTIZE) == Outcome(code="no_candidate", message="none")
    assert read_outcome(tmp_path, Stage.VALIDATE) is None


def test_a_stage_without_a_part_of_the_result_leaves_no_key() -> None:
    assert json.loads(msgspec.json.encode(Outcome(code="too_noisy"))) == {"code": "too_noisy", "message": ""}


def test_parts_that_version_0_1_left_are_laid_over_each_other(tmp_path: Path) -> None:
    parts: dict[Stage, dict[str, Any]] = {
        Stage.CAPTURE: {"data": {"calibration": {"windows": 9}, "warnings": ["few rows"], "enough": {}}},
        Stage.CALIBRATE: {"data": {"warnings": ["few rows", "one runtime"]}},
        Stage.QUANTIZE: {"reference": {"method": "float"}, "candidates": [{"method": "static"}]},
        Stage.VALIDATE: {"reference": {"accuracy": 0.9}, "chosen": {"method": "static", "agreement": 0.99}},
        Stage.BENCHMARK: {"chosen": {"peak_rss_bytes": 7}, "device": {"board": "Raspberry Pi 5"}},
    }
    for stage in WORKER_STAGES:
        leave(tmp_path, stage, msgspec.json.encode({"code": "", "results": parts[stage]}))

    result = read_result(tmp_path)

    assert result.data.calibration is not None
    assert (result.data.calibration.windows, result.data.warnings) == (9, ["few rows", "one runtime"])
    assert result.reference == MeasuredModel(method="float", accuracy=0.9)
    assert result.chosen == MeasuredModel(method="static", agreement=0.99, peak_rss_bytes=7)
    assert (result.candidates, result.device.board) == ([MeasuredModel(method="static")], "Raspberry Pi 5")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"results": 7}',
        b'{"results": {"message": "\xff"}}',
        b'{"results": {"layers": ' + b"[" * 9000,
    ],
)
def test_a_broken_outcome_takes_nothing_of_those_before(tmp_path: Path, content: bytes) -> None:
    leave(tmp_path, Stage.CAPTURE, msgspec.json.encode(Outcome(results=Result(data=Data(warnings=["few rows"])))))
    leave(tmp_path, Stage.CALIBRATE, content)
    leave(tmp_path, Stage.QUANTIZE, msgspec.json.encode(Outcome(results=Result())))

    assert read_result(tmp_path).data.warnings == ["few rows"]
    with pytest.raises(StageError, match="stage_crashed"):
        read_outcome(tmp_path, Stage.CALIBRATE)
