"""A model with an optimised form, from its manifest to an application: an agent, its workers and the runtime, all real.

No broker: what one would bring is handed to the agent.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support import formed
from support.agents import LocalAgent
from support.captures import CHANNELS, motion
from support.onnx_models import save

from edge_agent import backends, serving
from edge_agent.device.optimized_form import form_folder, form_key
from edge_agent.execution.launcher import Launcher
from edge_agent.jobs.result import Result
from edge_agent.process.child_exit import ChildExit
from edge_agent.state.release import RELEASE_FILE, REPORT_FILE, Release
from edge_agent.state.releases import Releases
from edge_agent.wire.manifest import Manifest
from host_tools.push.manifest_file import read_blob

ELSEWHERE = "onnxruntime 1.0.0 x86_64 0123456789abcdef"
VERSION = backends.load("onnx").runtime_version()


class Agent(LocalAgent):
    """With real workers, and a recording in the place of a sensor."""

    def __init__(self, folder: Path) -> None:
        np.savez(folder / "r.npz", samples=motion(9000))
        source = {"kind": "replay", "path": str(folder / "r.npz"), "channels": CHANNELS, "rate_hz": 50, "rate": "max"}
        super().__init__(folder / "state", sources={"imu": source})
        self.stages = Launcher(self.config)  # type: ignore[assignment]  # which start processes

    def push(self, model: Path) -> None:
        blob = read_blob(model)
        (self.store.blobs / blob.sha256).write_bytes(model.read_bytes())
        manifest = Manifest(
            "ea/v1", "har", 1, "onnx", blob, [formed.CONTRACT], formed.OUTPUT, formed.RECIPE, formed.GATES,
            targets=["d/pi-01"],
        )  # fmt: skip
        self.deliver(manifest, blob=False)

    def until(self, reached: Callable[[], bool], within_s: float = 900) -> None:
        deadline = time.monotonic() + within_s
        while not reached():
            assert time.monotonic() < deadline
            self.step()

    def know_runtimes(self) -> None:
        found: dict[str, Any] = {"runtimes": {"onnxruntime": VERSION}, "broken": {}, "formats": ["onnx"]}
        self.agent.take_inventory(ChildExit(0, "exited", 0, "", 1.0), json.dumps(found | {"confinement": []}))

    @property
    def release(self) -> Release:
        release = Releases(self.store.models, "har").active()
        assert release is not None
        return release

    @property
    def folder(self) -> Path:
        return Releases(self.store.models, "har").path(self.release.name)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path)
    agent.boot()
    agent.push(save(formed.deep_net(), tmp_path / "m.onnx"))
    agent.until(lambda: all(job.ended for job in agent.agent.jobs.values()))
    yield agent
    agent.agent.stop()
    agent.off()


def test_what_was_judged_serves_and_is_made_anew_after_an_upgrade(agent: Agent) -> None:
    (job,) = agent.agent.jobs.values()
    assert job.code == "accepted", job.message
    form = agent.release.served
    assert form is not None
    assert form.key == form_key("onnxruntime", VERSION)
    result = msgspec.json.decode((agent.folder / REPORT_FILE).read_bytes(), type=Result)
    assert result.chosen is not None
    assert result.chosen.form_bytes == form.size_bytes
    window = motion(formed.SIZE, seed=1)
    model = serving.load("har", state_dir=agent.store.root, follow_s=0)
    judged = model(window)
    assert not model.stale

    # As after an upgrade of the runtime: the form on the disk is that of another version.
    folder = agent.folder
    said = msgspec.structs.replace(
        agent.release, served=msgspec.structs.replace(form, key=ELSEWHERE, folder=form_folder(ELSEWHERE))
    )
    (folder / form.folder).rename(folder / form_folder(ELSEWHERE))
    (folder / RELEASE_FILE).write_bytes(msgspec.json.encode(said))
    upgraded = serving.load("har", state_dir=agent.store.root, follow_s=0)
    assert upgraded(window).tobytes() == judged.tobytes()
    assert upgraded.stale

    agent.know_runtimes()
    agent.until(lambda: agent.release.served == form, within_s=60)

    assert upgraded(window).tobytes() == judged.tobytes()
    assert not upgraded.stale
    assert upgraded.problem is None
