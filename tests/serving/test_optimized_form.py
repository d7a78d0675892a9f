"""Releases with an optimised form, on the real runtime: which file answers, and what an application learns of it."""

import logging
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support import onnx_models
from support.agents import LocalAgent
from support.served import activate, contract, give_form

from edge_agent import serving
from edge_agent.device.optimized_form import OPTIMIZED_FILE, WEIGHTS_FILE
from edge_agent.errors import StoreError
from edge_agent.foreign.decoding import decode
from edge_agent.serving import opening
from edge_agent.serving.loaded import Loaded
from edge_agent.state import releases, served_form
from edge_agent.state.model_file import ModelFile
from edge_agent.state.release import RELEASE_FILE, Release, read_release
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.wire.manifest import State

ELSEWHERE = "onnxruntime 1.0.0 riscv64 0123456789abcdef"
WINDOW = np.arange(8, dtype=np.float32).reshape(4, 2) / 10


class Device:
    """A store with one active release of a model that carries state, and its optimised form."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "state")
        self.store.lock()
        self._scratch = iter(folder / f"scratch{number}" for number in range(9))
        model = onnx_models.save(onnx_models.stateful_net(), folder / "m.onnx")
        state = [State("h", "hN")]
        self.plain = activate(self.store, 1, model, [contract(4, ["ax", "ay"])], state=state)
        self.release = self.plain
        self.releases = Releases(self.store.models, "har")
        self.folder = self.releases.path(self.plain.name)

    def form(self, *, key: str = "") -> None:
        """A worker has made the form."""
        self.release = give_form(self.store, self.release, next(self._scratch), key=key)

    @property
    def form_folder(self) -> Path:
        assert self.release.served is not None
        return self.folder / self.release.served.folder

    def load(self) -> serving.Model:
        return serving.load("har", state_dir=self.store.root, follow_s=0)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    yield device
    device.store.unlock()


def answers(model: serving.Model, count: int = 3) -> list[bytes]:
    return [model(WINDOW).tobytes() for _ in range(count)]


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def test_the_form_answers_where_its_key_fits(device: Device) -> None:
    before = answers(device.load())
    device.form()
    spoil(device.folder / "model.onnx")  # which nobody opens

    model = device.load()

    assert answers(model) == before
    assert not model.stale
    assert model.problem is None


def test_the_model_file_answers_alike_where_the_form_is_for_another_device(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(device.load())
    device.form(key=ELSEWHERE)
    for path in device.form_folder.iterdir():
        path.write_bytes(b"what this processor must not run")

    with caplog.at_level(logging.WARNING):
        model = device.load()

    assert answers(model) == before
    assert model.stale
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("the optimised form of har 1 is not for this version of the runtime on this processor; its")
    assert line.endswith("the agent rebuilds the form; if it has not within minutes, restart edge-agent")


def test_a_program_that_may_not_read_what_the_processor_is_learns_what_to_do(
    device: Device, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.form(key=ELSEWHERE)
    monkeypatch.setattr(opening, "processor_known", lambda: False)

    device.load()

    assert "as this program cannot read /proc/cpuinfo" in caplog.text
    assert "let it read that file" in caplog.text


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: spoil(folder / WEIGHTS_FILE), "optimized.onnx.data no longer has its hash"),
        (lambda folder: spoil(folder / OPTIMIZED_FILE), "optimized.onnx no longer has its hash"),
        (lambda folder: (folder / OPTIMIZED_FILE).unlink(), "optimized.onnx cannot be read"),
    ],
)
def test_a_damaged_form_is_no_damaged_release(
    device: Device, damage: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(device.load())
    device.form()
    damage(device.form_folder)

    model = device.load()

    assert answers(model) == before
    assert model.stale
    assert words in Loaded(device.folder).form_problem
    assert "restart edge-agent, which rebuilds a damaged form" in caplog.text
    assert device.releases.diagnose() == ("", "")


def test_a_damaged_model_file_is_a_damaged_release_though_the_form_answers(device: Device) -> None:
    device.form()
    spoil(device.folder / "model.onnx")

    problem, _ = device.releases.diagnose()

    assert "model.onnx no longer has its hash" in problem


def test_without_a_form_that_fits_a_damaged_model_file_is_refused(device: Device) -> None:
    device.form(key=ELSEWHERE)
    spoil(device.folder / "model.onnx")

    with pytest.raises(StoreError, match="release_corrupt"):
        device.load()


def test_another_version_of_the_runtime_is_said_once_with_the_form(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.release = msgspec.structs.replace(device.release, runtime_version="1.0.0")
    device.form(key=ELSEWHERE)

    with caplog.at_level(logging.WARNING):
        model = device.load()

    assert model.stale
    (line,) = [record.getMessage() for record in caplog.records]
    assert "was proved with onnxruntime 1.0.0" in line
    assert "its optimised form is not for this version" in line


@pytest.mark.parametrize("key", [ELSEWHERE, ""])
def test_a_form_that_is_made_anew_is_taken_up_with_the_state_so_far(device: Device, key: str) -> None:
    """Of another key, or of the same one where it was damaged."""
    before = answers(device.load(), 6)
    device.form(key=key)
    if not key:
        spoil(device.form_folder / WEIGHTS_FILE)
    model = device.load()
    stale, first = model.stale, answers(model)

    device.form()

    assert [*first, *answers(model)] == before
    assert (stale, model.stale) == (True, False)
    assert model.problem is None
    assert {path.name for path in device.folder.glob("served-*")} == {device.form_folder.name}


def test_what_is_published_can_be_read_by_applications_of_other_users(device: Device) -> None:
    device.form()

    modes = {path.name: path.stat().st_mode & 0o777 for path in device.folder.rglob("*")}
    assert {mode for name, mode in modes.items() if name != device.form_folder.name} == {0o644}
    assert modes[device.form_folder.name] == 0o755


@pytest.mark.parametrize("step", ["publish_dir", "write_durably", "remove_others"])
def test_wherever_the_power_fails_while_a_form_is_renewed_the_release_answers(
    device: Device, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that is named, and all after it, are not done."""
    before = answers(device.load())
    device.form(key=ELSEWHERE)
    where = served_form if step == "publish_dir" else releases

    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(where, step, fail)
        with pytest.raises(KeyboardInterrupt):
            device.form()

    assert device.releases.diagnose() == ("", "")
    assert answers(device.load()) == before
    device.release = read_release(device.folder)
    agent = LocalAgent(device.store.root)
    device.store.unlock()
    agent.boot()
    agent.off()
    assert {path.name for path in device.folder.glob("served-*")} == {device.form_folder.name}
    device.form()  # and it can be done again
    model = device.load()
    assert (answers(model), model.stale) == (before, False)


def test_a_copy_of_a_form_that_fails_leaves_nothing(device: Device, tmp_path: Path) -> None:
    """The disk is full: no file may be larger than 1 KiB."""
    device.form(key=ELSEWHERE)
    weights = tmp_path / "made" / WEIGHTS_FILE
    weights.parent.mkdir()
    weights.write_bytes(bytes(4096))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    named = {path.name for path in device.folder.iterdir()}
    assert device.release.served is not None
    form = msgspec.structs.replace(device.release.served, folder="served-00000000")

    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            served_form.put_form([ModelFile(weights.parent, (WEIGHTS_FILE,), "", 4096)], device.folder, form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert {path.name for path in device.folder.iterdir()} == named


def test_an_agent_that_knows_nothing_of_forms_reads_the_release(device: Device) -> None:
    device.form()
    hints = {name: hint for name, hint in Release.__annotations__.items() if name != "served"}
    known = [(field.name, hints[field.name], field.default) for field in msgspec.structs.fields(Release)
             if field.name in hints and field.default is not msgspec.NODEFAULT]  # fmt: skip
    required = [(name, hints[name]) for name in hints if name not in {one[0] for one in known}]
    before = msgspec.defstruct("Release", [*required, *known], kw_only=True)

    found = decode((device.folder / RELEASE_FILE).read_bytes(), before)

    assert msgspec.to_builtins(found) == {
        name: value for name, value in msgspec.to_builtins(device.plain).items() if name != "served"
    }


@pytest.mark.parametrize(
    "change",
    [
        {"folder": "../../3-0/served-0"},
        {"folder": "."},
        {"folder": "elsewhere"},
        {"files": {"../model.onnx": "0" * 64}},
        {"files": {"": "0" * 64}},
        {"files": ["of", "a", "later", "version"]},
        {"key": None},
        {"size_bytes": "large"},
    ],
)
def test_a_form_that_is_not_understood_is_none(
    device: Device, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A form lies in its release and nowhere else, and a later version may describe it otherwise."""
    device.form()
    path = device.folder / RELEASE_FILE
    said = msgspec.json.decode(path.read_bytes())
    said["served"] |= change
    path.write_bytes(msgspec.json.encode(said))

    assert read_release(device.folder) == device.plain
    assert read_release(device.folder) == device.plain
    assert caplog.text.count("its optimised form is not understood") == 1
    assert not device.load().stale


@pytest.mark.parametrize("served", [3, "served-1f0c9a3e", [], {}, True])
def test_what_is_no_form_is_none(device: Device, served: Any) -> None:
    path = device.folder / RELEASE_FILE
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | {"served": served}))

    assert read_release(device.folder) == device.plain


def test_a_release_that_is_broken_elsewhere_is_broken_whatever_its_form(device: Device) -> None:
    path = device.folder / RELEASE_FILE
    said = msgspec.json.decode(path.read_bytes()) | {"served": 3, "threads": "many"}
    path.write_bytes(msgspec.json.encode(said))

    with pytest.raises(StoreError, match="release_corrupt"):
        read_release(device.folder)
