"""What version 0.1.0 kept on disk, and said between its processes, is read by this one without a loss.

The values are in ``support.records``, their bytes in ``tests/fixtures/v0_1_0/records``; and what a real daemon left is
gone through file by file.
"""

import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.records import BETWEEN, HELLO, ON_DISK, STATE, batch, plain
from support.results import empty_result, read_results
from support.upgrades import FIXTURES, lost, unpack

from edge_agent.jobs.job import Job
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import Stage, Task
from edge_agent.sensing.frames import Batch, Decoder, encode_batch, encode_json
from edge_agent.state.release import Release
from edge_agent.state.store import CommandRecord, ModelRecord
from edge_agent.wire.manifest import Manifest
from edge_agent.wire.messages import JobReport
from edge_agent.worker.artefacts import Chosen, Ranges, read_chosen, read_ranges
from edge_agent.worker.data.sets import ArraySets, ShardSets
from edge_agent.worker.data.shards import Plan

MADE = FIXTURES / "v0_1_0"
KINDS: dict[str, Any] = {
    "job.json": Job,
    "jobs/*/manifest.json": Manifest,
    "jobs/*/report.json": JobReport,
    "task.json": Task,
    "outcome.json": Outcome,
    "plan.json": Plan,
    "sets.json": ArraySets | ShardSets,
    "ranges.json": Ranges,
    "candidates.json": list[MeasuredModel],
    "chosen.json": Chosen,
    "commands.json": dict[str, CommandRecord],
    "models/*.json": ModelRecord,
    "release.json": Release,
    "releases/*/manifest.json": Manifest,
}
"""Which files of a state directory are what."""
SETS = {"sets-shards": ArraySets | ShardSets, "sets-arrays": ArraySets | ShardSets, "candidates": list[MeasuredModel]}
SETS |= {"commands": dict[str, CommandRecord]}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(MADE / "states.tar.xz", tmp_path_factory.mktemp("states"))


@pytest.mark.parametrize("name", [*ON_DISK, *BETWEEN])
def test_a_record_of_then_says_the_same_now(name: str) -> None:
    value = (ON_DISK | BETWEEN)[name]
    content = (MADE / "records" / f"{name}.json").read_bytes()

    assert msgspec.json.decode(content, type=SETS.get(name, type(value))) == value


@pytest.mark.parametrize("name", BETWEEN)
def test_what_processes_say_now_has_all_that_those_of_then_read(name: str) -> None:
    then = json.loads((MADE / "records" / f"{name}.json").read_bytes())

    assert not list(lost(then, plain(BETWEEN[name])))


@pytest.mark.parametrize("pattern", KINDS)
def test_files_of_a_real_device_lose_nothing(states: Path, pattern: str) -> None:
    paths = sorted(states.glob(f"*/{pattern}" if "/" in pattern else f"**/{pattern}"))
    if pattern.startswith("releases/"):
        paths = sorted(states.glob(f"*/models/*/{pattern}"))

    assert paths
    for path in paths:
        then = json.loads(path.read_bytes())
        now = plain(msgspec.json.decode(path.read_bytes(), type=KINDS[pattern]))
        assert not list(lost(then, now)), path


def test_stages_find_what_those_before_left(states: Path) -> None:
    [job_dir] = (path.parent for path in states.glob("committed/jobs/*/benchmark"))

    chosen = read_chosen(job_dir / Stage.QUANTIZE)
    ranges = read_ranges(job_dir / Stage.CALIBRATE)
    results = read_results(job_dir)

    assert (chosen.spec.method, chosen.record.runtime) == ("static", "onnxruntime")
    assert ranges.of("minmax")["x"].low < 0 < ranges.of("minmax")["x"].high
    assert results["chosen"]["disagreements"] == 0
    assert results["chosen"]["peak_rss_bytes"] > results["chosen"]["model_rss_bytes"]


def test_a_report_of_then_has_the_keys_that_readers_rely_on(states: Path) -> None:
    """Of the job and of its release; what is new may be missing there, and nothing else."""
    reports = [json.loads(path.read_bytes())["results"] for path in states.glob("settled/jobs/*/report.json")]
    released = [json.loads(path.read_bytes()) for path in states.glob("settled/models/*/releases/*/report.json")]

    assert (len(reports), len(released)) == (5, 4)
    for result in [*reports, *released]:
        assert result.keys() <= empty_result().keys()
        assert result["data"].keys() >= {"calibration", "search", "heldout", "warnings"}


def test_readers_of_a_sensor_understand_its_process() -> None:
    """An application that was started before the upgrade reads on; so does one of now where the process is of then."""
    samples = np.array([[0.5, -1.25], [2.0, 3.5]], "<f4")
    content, payload = (MADE / "records" / "socket.bin").read_bytes(), samples.tobytes()

    hello, state, said = Decoder().feed(content)

    assert (hello, state) == (HELLO, STATE)
    assert isinstance(said, Batch)
    wanted = batch(samples)
    assert (said.number, said.heard_s, said.time_s, said.malformed) == (7, 1000.5, 1_790_000_000.25, 3)
    assert (said.gap, said.lost) == (True, wanted.lost)
    assert np.array_equal(said.samples, samples)
    again = encode_json(HELLO) + encode_json(STATE) + encode_batch(wanted, len(payload), lost=wanted.lost) + payload
    *then, last = frames(content)
    *now, last_now = frames(again)
    assert last_now == last
    assert [body[:1] for body in now] == [body[:1] for body in then]
    for new, old in zip(now, then, strict=True):  # an older reader passes over what it does not know
        assert json.loads(new[1:]).items() >= json.loads(old[1:]).items()


def frames(content: bytes) -> list[bytes]:
    """The bodies of what a sensor's socket sends, each behind its length."""
    bodies = []
    while content:
        (length,) = struct.unpack("<I", content[:4])
        bodies.append(content[4 : 4 + length])
        content = content[4 + length :]
    return bodies
