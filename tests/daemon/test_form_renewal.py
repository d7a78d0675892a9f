"""Optimised forms that no longer fit are rebuilt: an agent in this process, its children and models real."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from support import onnx_models
from support.agents import LocalAgent
from support.served import activate, contract, give_form

from edge_agent import backends, serving
from edge_agent.daemon.activation import form_renewal
from edge_agent.device.optimized_form import OPTIMIZED_FILE, WEIGHTS_FILE, form_folder, form_key
from edge_agent.execution.launcher import Launcher
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.task import Stage
from edge_agent.process.child_exit import ChildExit
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases
from edge_agent.wire.manifest import State

ELSEWHERE = "onnxruntime 1.0.0 riscv64 0123456789abcdef"
VERSION = backends.load("onnx").runtime_version()


class Rig(LocalAgent):
    """An agent with one active release whose form is for another device.

    Attributes:
        asked: the releases that a form was asked for.
        make: makes one.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "state")
        self.asked: list[str] = []
        self.store.lock()
        model = onnx_models.save(onnx_models.stateful_net(), folder / "m.onnx")
        made = activate(self.store, 1, model, [contract(4, ["ax", "ay"])], state=[State("h", "hN")])
        give_form(self.store, made, folder / "scratch", key=ELSEWHERE)
        self.store.unlock()
        self.releases = Releases(self.store.models, "har")
        self.make = Launcher(self.config).make_form
        self.stages.make_form = self._make_form  # type: ignore[method-assign]

    def _make_form(self, release: Path, work: Path) -> str:
        self.asked.append(release.name)
        return self.make(release, work)

    @property
    def release(self) -> Release:
        release = self.releases.active()
        assert release is not None
        return release

    @property
    def form(self) -> Path:
        assert self.release.served is not None
        return self.releases.path(self.release.name) / self.release.served.folder

    def know_runtimes(self, version: str = VERSION) -> None:
        """The inventory is in."""
        found: dict[str, Any] = {"runtimes": {"onnxruntime": version}, "broken": {}, "formats": ["onnx"]}
        self.agent.take_inventory(ChildExit(0, "exited", 0, "", 1.0), json.dumps(found | {"confinement": []}))

    def until(self, reached: Callable[[], bool], within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while not reached():
            assert time.monotonic() < deadline
            self.step()

    def rest(self) -> None:
        """Let a while pass in which nothing should happen."""
        for _ in range(30):
            self.step()

    @property
    def fits(self) -> bool:
        served = self.release.served
        return served is not None and served.key == form_key("onnxruntime", VERSION)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    rig.boot()
    yield rig
    rig.off()


def test_a_form_for_another_device_is_made_anew_and_taken_up(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    model = serving.load("har", state_dir=rig.store.root, follow_s=0)
    window = [[0.1, 0.2]] * 4
    before, stale = model(window), model.stale
    old = rig.form
    rig.know_runtimes()

    with caplog.at_level(logging.INFO):
        rig.until(lambda: rig.fits)
        rig.rest()

    again = serving.load("har", state_dir=rig.store.root)
    assert again(window).tobytes() == before.tobytes()
    model(window)
    assert (stale, model.stale, again.stale) == (True, False, False)
    assert not old.exists()
    assert not rig.store.forms.exists()
    lines = [record.getMessage() for record in caplog.records if "form" in record.getMessage()]
    assert lines.count(f"rebuilt the optimised form of har 1, for onnxruntime {VERSION}") == 1
    assert rig.asked == [rig.release.name]


def test_nothing_is_made_before_the_runtimes_are_known(rig: Rig) -> None:
    rig.rest()

    assert rig.asked == []


@pytest.mark.parametrize("name", [OPTIMIZED_FILE, WEIGHTS_FILE])
def test_a_damaged_form_is_made_anew_at_the_next_start(rig: Rig, name: str) -> None:
    rig.know_runtimes()
    rig.until(lambda: rig.fits)
    rig.off()
    good = {path.name: path.read_bytes() for path in rig.form.iterdir()}
    (rig.form / name).write_bytes(b"a bad sector")
    rig.boot()
    rig.know_runtimes()

    rig.until(lambda: rig.form.is_dir() and {path.name: path.read_bytes() for path in rig.form.iterdir()} == good)

    assert not serving.load("har", state_dir=rig.store.root).stale


def test_a_sound_form_is_left_alone(rig: Rig) -> None:
    rig.know_runtimes()
    rig.until(lambda: rig.fits)
    rig.off()
    rig.boot()
    rig.know_runtimes()
    rig.rest()

    assert len(rig.asked) == 1


def test_what_fails_is_said_once_and_tried_again_at_the_next_start(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    real, before = rig.make, rig.release
    rig.make = lambda _release, _work: "there is no room"
    rig.know_runtimes()
    rig.until(lambda: "there is no room" in caplog.text)
    rig.know_runtimes()
    rig.rest()

    assert caplog.text.count("cannot be rebuilt") == len(rig.asked) == 1
    assert rig.release == before
    rig.make = real
    rig.off()
    rig.boot()
    rig.know_runtimes()
    rig.until(lambda: rig.fits)


def test_a_damaged_model_file_gets_no_form(rig: Rig) -> None:
    rig.rest()  # the look at releases that a boot has begun is over
    model = rig.releases.path(rig.release.name) / "model.onnx"
    model.write_bytes(b"no model")
    rig.know_runtimes()
    rig.rest()

    assert rig.asked == []


def test_a_child_that_crashes_leaves_the_release_as_it_was(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def crash(_release: Path, work: Path) -> str:
        (work / OPTIMIZED_FILE).write_bytes(b"half of a f")
        return "the worker was killed by SIGSEGV"

    rig.make = crash
    before = rig.release
    rig.know_runtimes()

    rig.until(lambda: "killed by SIGSEGV" in caplog.text)

    assert rig.release == before
    assert serving.load("har", state_dir=rig.store.root)([[0.1, 0.2]] * 4).shape == (1, 2)


@pytest.mark.parametrize("link", [True, False])
def test_what_a_child_leaves_is_copied_as_a_strangers(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, link: bool
) -> None:
    """No link is followed, and no file may be larger than what is made of a model."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"of somebody else")

    def hostile(_release: Path, work: Path) -> str:
        if link:
            (work / OPTIMIZED_FILE).symlink_to(secret)
        else:
            with (work / OPTIMIZED_FILE).open("wb") as file:
                file.truncate(1 << 40)
        return ""

    rig.make = hostile
    before = rig.release
    rig.know_runtimes()

    rig.until(lambda: "cannot be rebuilt" in caplog.text)

    assert rig.release == before


def test_a_form_waits_for_a_worker_that_has_a_model_open(rig: Rig) -> None:
    rig.stages.held = {Stage.CALIBRATE}
    rig.want(2)
    rig.until(lambda: any(job.stage is Stage.CALIBRATE for job, _ in rig.stages.runs))
    rig.know_runtimes()
    rig.rest()

    assert rig.asked == []

    rig.stages.held = set()
    rig.stages.runs[-1][1].end()
    rig.settle()
    assert any(job.version == 2 and job.code == "accepted" for job in rig.agent.jobs.values())


def test_a_worker_waits_for_a_form_and_a_capture_does_not(rig: Rig) -> None:
    released: list[str] = []

    def slow(_release: Path, _work: Path) -> str:
        while not released:
            time.sleep(0.01)
        return "never mind"

    rig.make = slow
    rig.know_runtimes()
    rig.until(rig.store.forms.exists)
    rig.want(2)
    rig.rest()

    stages = [job.stage for job, _ in rig.stages.runs]
    assert stages == [Stage.CAPTURE]

    released.append("now")
    rig.settle()
    assert [job.stage for job, _ in rig.stages.runs][1] is Stage.CALIBRATE


def test_a_release_without_a_form_gets_none(rig: Rig) -> None:
    bare = msgspec.structs.replace(rig.release, served=None)
    rig.releases.renew_form(bare, [])
    rig.know_runtimes()
    rig.rest()

    assert rig.release == bare
    assert rig.asked == []
    assert not list(rig.releases.path(bare.name).glob("served-*"))


def test_a_runtime_that_is_not_here_makes_none(rig: Rig) -> None:
    rig.agent.identity.runtimes = {"tflite-runtime": "2.14.0"}
    rig.agent.info.publish()
    rig.rest()

    assert rig.asked == []


def test_a_stage_that_ends_late_frees_nothing(rig: Rig) -> None:
    """Whose job is gone: its worker may still have a model open."""
    rig.stages.held = {Stage.CALIBRATE}
    rig.want(2)
    rig.until(lambda: any(job.stage is Stage.CALIBRATE for job, _ in rig.stages.runs))
    job, run = rig.stages.runs[-1]
    rig.want(3)
    rig.know_runtimes()
    rig.rest()

    assert rig.agent.jobs[job.id].code == "superseded"
    assert rig.asked == []
    rig.stages.held = set()
    rig.stages.ends[Stage.VALIDATE] = StageEnd("stage_crashed", "died", "failed", 0.1)  # else version 3 is released
    run.end()
    rig.until(lambda: bool(rig.asked))


def test_what_was_left_half_made_is_gone_after_a_start(rig: Rig) -> None:
    rig.off()
    rig.store.forms.mkdir()
    (rig.store.forms / OPTIMIZED_FILE).write_bytes(b"half of a f")
    folder = rig.releases.path(rig.release.name)
    for name in ("served-00000000", "served-11111111.tmp"):
        (folder / name).mkdir()

    rig.boot()

    assert not rig.store.forms.exists()
    assert [path.name for path in folder.glob("served-*")] == [rig.form.name]


def test_without_free_space_none_is_made(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = rig.release.served
    assert served is not None
    needed = 3 * served.size_bytes + (64 << 20)
    monkeypatch.setattr(form_renewal.shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    rig.know_runtimes()
    rig.until(lambda: "cannot be rebuilt" in caplog.text)
    rig.rest()

    assert rig.asked == []
    assert caplog.text.count("more than are free; free some") == 1
    monkeypatch.setattr(form_renewal.shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
    rig.off()
    rig.boot()
    rig.know_runtimes()
    rig.until(lambda: rig.fits)


def test_a_release_that_is_not_active_any_more_is_dropped_without_a_word(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.stages.held = {Stage.CALIBRATE}
    rig.want(2)
    rig.until(lambda: any(job.stage is Stage.CALIBRATE for job, _ in rig.stages.runs))
    rig.know_runtimes()
    rig.until(lambda: bool(rig.agent._form_renewal._waiting))
    rig.stages.ends[Stage.VALIDATE] = StageEnd("stage_crashed", "died", "failed", 0.1)
    rig.stages.held = set()
    rig.releases.link.unlink()
    rig.stages.runs[-1][1].end()
    rig.until(lambda: not rig.agent._form_renewal._waiting)
    rig.rest()

    assert rig.asked == []
    assert "cannot be rebuilt" not in caplog.text


def test_what_became_active_again_is_looked_at_again(rig: Rig) -> None:
    rig.know_runtimes()
    rig.until(lambda: rig.fits)
    name = rig.release.name
    rig.releases.link.unlink()
    rig.agent.info.publish()
    rig.rest()
    (rig.releases.path(name) / form_folder(form_key("onnxruntime", VERSION)) / WEIGHTS_FILE).write_bytes(b"damage")
    rig.releases.swap(name)
    rig.agent.info.publish()

    rig.until(lambda: len(rig.asked) == 2)
