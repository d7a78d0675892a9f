"""What an application gets from the active release: the same for every format, whatever is activated meanwhile."""

import logging
import re
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from support.captures import CHANNELS, context, motion
from support.served import Maker, OnnxMaker, TfliteMaker, activate, contract, put_release
from support.tflite_rig import needs_tflite_runtime

from edge_agent import backends, serving
from edge_agent.daemon.activation.release_steps import roll_back
from edge_agent.errors import EdgeAgentError
from edge_agent.jobs.task import Stage, Task
from edge_agent.serving.loaded import Loaded
from edge_agent.state.durable import write_durably
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.wire.manifest import InputContract, Output, Recipe, State
from edge_agent.worker.capture.from_sensor import capture_source
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.data.sets import SETS_FILE, ShardSets

MAKERS = [
    OnnxMaker(),
    TfliteMaker("ai-edge-litert", "ai_edge_litert.interpreter"),
    pytest.param(TfliteMaker("tflite-runtime", "tflite_runtime.interpreter"), marks=needs_tflite_runtime),
]

Floats = NDArray[np.float32]
RANDOM = np.random.default_rng(0)
SIZE = 4
PLAIN = contract(SIZE, CHANNELS)
STEPS = (
    {"op": "standardize", "mean": [0, 1, 2], "std": [1, 2, 4]},
    {"op": "transpose", "axes": [1, 0]},
    {"op": "clip", "low": -1, "high": 1},
)


def weights(rows: int, columns: int = 2) -> Floats:
    return RANDOM.normal(size=(rows, columns)).astype(np.float32)


def window(channels: int = 3) -> Floats:
    return RANDOM.normal(size=(SIZE, channels)).astype(np.float32)


def close(one: Any, other: Any) -> bool:
    return np.shape(one) == np.shape(other) and bool(np.allclose(one, other, atol=1e-5))


@pytest.fixture(params=MAKERS, ids=["onnxruntime", "ai-edge-litert", "tflite-runtime"])
def maker(request: pytest.FixtureRequest) -> Maker:
    made: Maker = request.param
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    store.lock()
    yield store
    store.unlock()


class Versions:
    """Versions of one model, each of which multiplies by weights of its own."""

    def __init__(self, store: Store, maker: Maker, folder: Path) -> None:
        self.store, self.maker, self.folder = store, maker, folder
        self.releases = Releases(store.models, "har")
        self.weights: dict[int, Floats] = {}

    def file(self, version: int) -> Path:
        self.weights[version] = weights(SIZE * 3)
        return self.maker.product(self.folder / f"v{version}", self.weights[version])

    def activate(self, version: int, **fields: Any) -> Release:
        return activate(self.store, version, self.file(version), [PLAIN], on=self.maker.runtime, **fields)

    def load(self, follow_s: float = 0) -> serving.Model:
        return serving.load("har", state_dir=self.store.root, follow_s=follow_s)

    def answers(self, model: serving.Model, version: int) -> bool:
        """Whether ``model`` answers as that version would."""
        raw = window()
        return model.release.version == version and close(model(raw), raw.reshape(1, -1) @ self.weights[version])


@pytest.fixture
def versions(store: Store, maker: Maker, tmp_path: Path) -> Versions:
    return Versions(store, maker, tmp_path)


def refused(model: serving.Model, given: Any) -> EdgeAgentError:
    with pytest.raises(EdgeAgentError) as error:
        model(given)
    return error.value


def test_a_raw_window_goes_through_the_manifests_steps(store: Store, maker: Maker, tmp_path: Path) -> None:
    w = weights(SIZE * 3)
    release = activate(store, 1, maker.product(tmp_path / "m", w), [contract(SIZE, CHANNELS, *STEPS)], on=maker.runtime)

    model = serving.load("har", state_dir=store.root)
    raw = window()

    row = np.clip((raw - [0, 1, 2]) / [1, 2, 4], -1, 1).T.reshape(1, -1)
    assert close(model(raw), row @ w)
    assert close(model(raw.tolist()), row @ w), "numbers are numbers"
    assert list(model.run(raw)) == ["y"]
    assert model.release == release
    assert (model.release.verdict, model.release.runtime) == ("accepted", maker.runtime)
    assert model.inputs["x"].channels == CHANNELS
    assert model.problem is None
    assert not model.stale


def test_what_it_feeds_is_what_capture_fed(maker: Maker, store: Store, tmp_path: Path) -> None:
    """Bit for bit, on a recording whose channels come in another order than the manifest's."""
    path = maker.product(tmp_path / "m", weights(SIZE * 2))
    contracts = [contract(SIZE, ["az", "ax"], *STEPS[1:], {"op": "scale", "factor": 0.3, "offset": 0.1})]
    np.savez(tmp_path / "r.npz", samples=motion(2000))
    source = {
        "kind": "replay", "path": str(tmp_path / "r.npz"), "channels": CHANNELS, "rate_hz": 50, "rate": "max",
    }  # fmt: skip
    task = Task(
        job="j", name="har", version=1, format=maker.format, model=path.name, inputs=contracts, sources={"imu": source},
        recipe=Recipe(calibration_windows=40, search_windows=20, heldout_windows=40),
    )  # fmt: skip
    here = context(tmp_path, task)
    info = backends.load(maker.format).inspect(path)
    sets, _ = capture_source(here, info)
    write_durably(here.out_dir / SETS_FILE, msgspec.json.encode(sets))
    shutil.copytree(here.out_dir, tmp_path / Stage.CAPTURE)
    rows = list(open_dataset(here, info).rows("calibration"))
    release = activate(store, 1, path, contracts, on=maker.runtime)

    loaded = Loaded(Releases(store.models, "har").path(release.name))

    raw = raw_windows(sets, tmp_path / Stage.CAPTURE)
    assert len(rows) == len(raw) == 40
    for row, samples in zip(rows, raw, strict=True):
        fed = loaded.feeds(samples[:, [sets.channels.index("az"), sets.channels.index("ax")]])
        assert fed.keys() == row.feeds.keys()
        assert fed["x"].dtype == row.feeds["x"].dtype
        assert np.array_equal(fed["x"], row.feeds["x"])


def raw_windows(sets: ShardSets, folder: Path) -> list[Floats]:
    """The calibration set before any step."""
    return [
        np.load(folder / shard.file)[start : start + shard.size]
        for shard in sets.calibration
        for start in range(0, shard.windows * shard.step, shard.step)
    ]


def test_an_activation_and_a_rollback_are_followed(versions: Versions) -> None:
    versions.activate(1)
    model = versions.load()
    assert versions.answers(model, 1)

    versions.activate(2)
    model(window())
    assert versions.answers(model, 2)

    roll_back(versions.store, "har")
    model(window())
    assert versions.answers(model, 1)
    assert model.problem is None


def test_what_the_release_before_leaves_is_given_back(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is gone; before, there is nothing to give back."""
    versions.activate(1)
    model = versions.load()
    before = weakref.ref(model._loaded)
    gone: list[bool] = []
    monkeypatch.setattr(serving, "give_back", lambda: gone.append(before() is None))

    versions.activate(2)
    model(window())

    assert versions.answers(model, 2)
    assert gone == [True]


def test_it_looks_no_more_often_than_told(versions: Versions) -> None:
    versions.activate(1)
    patient, at_once = versions.load(follow_s=3600), versions.load(follow_s=0)

    versions.activate(2)
    for model in (patient, at_once):
        model(window())

    assert versions.answers(patient, 1)
    assert versions.answers(at_once, 2)


@pytest.mark.parametrize("how", ["flipped", "no model", "no description", "manifest", "no manifest"])
def test_a_corrupt_release_leaves_the_old_one_answering(
    versions: Versions, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    versions.activate(1)
    model = versions.load()

    broken = put_release(versions.store, 2, versions.file(2), [PLAIN], on=versions.maker.runtime)
    folder = versions.releases.path(broken.name)
    match how:
        case "flipped":
            data = bytearray((folder / broken.file).read_bytes())
            data[len(data) // 2] ^= 1
            (folder / broken.file).write_bytes(data)
        case "no model":
            (folder / broken.file).unlink()
        case "no description":
            (folder / "release.json").write_text("{")
        case "manifest":
            content = (folder / "manifest.json").read_text()
            (folder / "manifest.json").write_text(content.replace('"size":4', '"size":5'))
        case _:
            (folder / "manifest.json").unlink()
    versions.releases.swap(broken.name)
    for _ in range(3):
        model(window())

    assert versions.answers(model, 1)
    assert model.problem is not None
    assert model.problem.code == "release_corrupt"
    assert "keeps serving" in model.problem.message
    assert [record.levelno for record in caplog.records] == [logging.ERROR], "said once"
    with pytest.raises(EdgeAgentError, match="release_corrupt"):
        versions.load()

    versions.activate(3)
    model(window())
    assert versions.answers(model, 3)
    assert model.problem is None


def test_a_release_that_could_not_be_loaded_is_tried_again_when_it_is_activated_again(versions: Versions) -> None:
    """And not before: its file may be large, and each try reads all of it."""
    versions.activate(1)
    model = versions.load()
    second = put_release(versions.store, 2, versions.file(2), [PLAIN], on=versions.maker.runtime)
    file = versions.releases.path(second.name) / second.file
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    versions.releases.swap(second.name)
    model(window())

    file.write_bytes(data)
    model(window())
    assert versions.answers(model, 1)
    assert model.problem is not None

    versions.releases.swap(second.name)
    model(window())
    assert versions.answers(model, 2)
    assert model.problem is None


def test_a_release_that_cannot_run_here_leaves_the_old_one_answering(versions: Versions) -> None:
    versions.activate(1)
    model = versions.load()

    for version, code, inputs, changes in (
        (2, "format_unsupported", [PLAIN], {"runtime": "another-runtime"}),
        (3, "shape_mismatch", [contract(SIZE + 1, CHANNELS)], {}),
        (4, "input_missing", [contract(SIZE, CHANNELS, name="speed")], {}),
        (5, "recipe_unsupported", [contract(SIZE, CHANNELS, {"op": "wavelet"})], {}),
        (6, "recipe_unsupported", [PLAIN], {"output": Output(name="z")}),
        (7, "model_unsupported", [PLAIN], {"state": [State("h", "hN")]}),
    ):
        activate(versions.store, version, versions.file(version), inputs, on=versions.maker.runtime, **changes)
        model(window())

        assert versions.answers(model, 1)
        assert model.problem is not None
        assert model.problem.code == code, model.problem

    roll_back(versions.store, "har")  # to another that cannot run
    versions.activate(8)
    model(window())
    assert versions.answers(model, 8)


@pytest.mark.parametrize(
    ("error", "code"), [(MemoryError(), "out_of_memory"), (ZeroDivisionError("our own bug"), "internal")]
)
def test_whatever_goes_wrong_with_a_new_release_the_old_one_answers(
    versions: Versions, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    versions.activate(1)
    model = versions.load()
    versions.activate(2)

    def fail(_folder: Path) -> None:
        raise error

    monkeypatch.setattr(serving, "Loaded", fail)
    model(window())

    assert versions.answers(model, 1)
    assert model.problem is not None
    assert model.problem.code == code


def test_when_nothing_is_active_any_more_the_last_release_answers_on(
    versions: Versions, caplog: pytest.LogCaptureFixture
) -> None:
    release = versions.activate(1)
    model = versions.load()

    versions.releases.withdraw(release)
    shutil.rmtree(versions.releases.path(release.name))
    for _ in range(3):
        model(window())

    assert versions.answers(model, 1)
    assert model.problem is not None
    assert model.problem.code == "not_active"
    assert len(caplog.records) == 1
    with pytest.raises(EdgeAgentError, match=r"not_active: no release of 'har' is active in .*push the model first"):
        versions.load()

    versions.activate(2)
    model(window())
    assert versions.answers(model, 2)
    assert model.problem is None


def test_the_same_release_active_again_is_not_loaded_again(versions: Versions) -> None:
    release = versions.activate(1)
    model = versions.load()
    versions.releases.link.unlink()
    model(window())
    assert model.problem is not None
    before = model._loaded

    versions.releases.swap(release.name)
    model(window())

    assert model.problem is None
    assert model._loaded is before


def test_a_name_that_nothing_is_active_under_is_told_from_one_nearby(versions: Versions) -> None:
    versions.activate(1)

    with pytest.raises(EdgeAgentError, match=r"'haar' is active in .*; did you mean 'har'"):
        serving.load("haar", state_dir=versions.store.root)


def test_a_folder_where_the_link_should_be(versions: Versions) -> None:
    (versions.releases.folder / "active").mkdir(parents=True)

    with pytest.raises(EdgeAgentError, match="state_unreadable"):
        versions.load()


def test_another_version_of_the_runtime_is_said(versions: Versions, caplog: pytest.LogCaptureFixture) -> None:
    versions.activate(1, runtime_version="0.1")

    model = versions.load()

    assert model.stale
    assert "was proved with" in caplog.text
    assert versions.answers(model, 1)


def test_a_missing_runtime_names_its_package(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    versions.activate(1)
    monkeypatch.setitem(sys.modules, versions.maker.module.partition(".")[0], None)
    for name in [name for name in sys.modules if name.startswith("edge_agent.backends.")]:
        monkeypatch.delitem(sys.modules, name)

    with pytest.raises(EdgeAgentError, match=r"format_unsupported: .*install the extra device: "):
        versions.load()


def test_several_inputs_and_a_constant(store: Store, maker: Maker, tmp_path: Path) -> None:
    left, right = weights(SIZE * 2), weights(SIZE)
    path = maker.pair(tmp_path / "m", left, right)
    a, b = contract(SIZE, ["ax", "ay"], name="a"), contract(SIZE, ["az"], name="b")
    activate(store, 1, path, [a, b], output=Output(name="both"), on=maker.runtime)
    model = serving.load("har", state_dir=store.root, follow_s=0)
    two, one = window(2), window(1)
    first = two.reshape(1, -1) @ left

    assert close(model({"a": two, "b": one}), first + one.reshape(1, -1) @ right)
    every = model.run({"a": two, "b": one})
    assert list(every) == ["first", "both"]
    assert close(every["first"], first)
    assert refused(model, two).code == "input_missing"
    assert "input 'b'" in refused(model, {"a": two}).message
    assert "did you mean 'b'" in refused(model, {"a": two, "b": one, "bb": one}).message
    assert refused(model, {"a": one, "b": one}).code == "shape_mismatch"

    activate(store, 2, path, [a, InputContract(name="b", constant=0.5)], on=maker.runtime)
    assert close(model(two), first), "the first output, where none is named"
    assert close(model.run(two)["both"], first + np.full((1, SIZE), 0.5) @ right)
    assert refused(model, {"a": two, "b": one}).code == "input_missing"


def test_one_window_feeds_all_inputs_of_the_same_channels(store: Store, maker: Maker, tmp_path: Path) -> None:
    left, right = weights(SIZE * 3), weights(SIZE * 3)
    contracts = [contract(SIZE, CHANNELS, name="a"), contract(SIZE, CHANNELS, *STEPS[1:], name="b")]
    activate(store, 1, maker.pair(tmp_path / "m", left, right), contracts, output=Output(name="both"), on=maker.runtime)
    raw = window()

    answer = serving.load("har", state_dir=store.root)(raw)

    assert close(answer, raw.reshape(1, -1) @ left + np.clip(raw.T, -1, 1).reshape(1, -1) @ right)


def test_an_anomaly_score_is_what_was_judged(store: Store, maker: Maker, tmp_path: Path) -> None:
    copy = 0.5 * np.eye(SIZE * 3, dtype=np.float32)
    activate(
        store,
        1,
        maker.product(tmp_path / "m", copy),
        [PLAIN],
        output=Output(kind="anomaly", threshold=1.0),
        on=maker.runtime,
    )
    model = serving.load("har", state_dir=store.root)
    raw = window()

    assert close(model(raw), [np.mean((raw / 2) ** 2)])
    assert close(model.run(raw)["y"], raw.reshape(1, -1) / 2)


@pytest.mark.parametrize("reset", ["recording", "never"])
def test_state_is_carried_from_call_to_call(store: Store, maker: Maker, tmp_path: Path, reset: Any) -> None:
    w = weights(SIZE * 3)
    path = maker.running_sum(tmp_path / "m", w)
    state = [State("h", "hN", initial=3.0, reset=reset)]
    activate(store, 1, path, [PLAIN], state=state, on=maker.runtime)
    model = serving.load("har", state_dir=store.root, follow_s=0)
    one, two, three = window(), window(), window()

    assert close(model(one), 2 * (3 + one.reshape(1, -1) @ w))
    refused(model, window(2))  # which leaves the state alone
    both = (one + two).reshape(1, -1) @ w
    assert close(model(two), 2 * (3 + both))
    model.reset()
    kept = both if reset == "never" else 0
    assert close(model.run(three)["hN"], 3 + kept + three.reshape(1, -1) @ w)

    activate(store, 2, path, [PLAIN], state=state, on=maker.runtime)
    assert close(model(one), 2 * (3 + one.reshape(1, -1) @ w)), "another release begins with its initial state"


def test_calls_from_several_threads_take_turns(store: Store, maker: Maker, tmp_path: Path) -> None:
    ones = np.full((SIZE * 3, 64), 1 / (SIZE * 3), np.float32)
    activate(store, 1, maker.running_sum(tmp_path / "m", ones), [PLAIN], state=[State("h", "hN")], on=maker.runtime)
    model = serving.load("har", state_dir=store.root)
    same = np.ones((SIZE, 3), np.float32)

    def call() -> None:
        for _ in range(500):
            model(same)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert close(model.run(same)["hN"], np.full((1, 64), 2001.0)), "no call's state is lost"


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (np.zeros((SIZE + 1, 3)), "shape_mismatch", r"har 1 wants windows of 4 samples x 3 channels \(ax, ay, az\)"),
        (np.zeros((1, SIZE, 3)), "shape_mismatch", "1x4x3"),
        (np.zeros((SIZE, 2)), "shape_mismatch", "not of shape 4x2"),
        (7, "shape_mismatch", "a single value"),
        ("four", "dtype_mismatch", "array of numbers"),
        ([[1, 2, 3], [4]], "dtype_mismatch", "array of numbers"),
        (np.full((SIZE, 3), np.nan), "non_finite", "'x' holds NaN or Inf"),
        (np.full((SIZE, 3), 1e300), "non_finite", "check the sensor"),
        ({}, "input_missing", "input 'x'"),
    ],
)
def test_what_is_no_window_of_this_model(versions: Versions, given: Any, code: str, words: str) -> None:
    versions.activate(1)
    model = versions.load()

    error = refused(model, given)

    assert error.code == code
    assert re.search(words, error.message), error.message
    assert versions.answers(model, 1)


def test_the_state_folder_is_the_configured_one(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    versions.activate(1)
    config = versions.folder / "config.toml"
    monkeypatch.setattr(serving, "DEFAULT_PATH", config)
    with pytest.raises(EdgeAgentError, match="not_active: no release of 'no-such' is active in /var/lib/edge-agent"):
        serving.load("no-such")

    config.write_text(f'state_dir = "{versions.store.root}"\na_key_of_tomorrow = 1\n')
    assert versions.answers(serving.load("har"), 1)

    config.write_text("state_dir =")
    with pytest.raises(EdgeAgentError, match=r"config\.toml is not valid TOML"):
        serving.load("har")


def test_serving_imports_its_runtime_and_nothing_of_the_engine(versions: Versions) -> None:
    versions.activate(1)
    served = (
        "import sys, numpy, edge_agent.serving\n"
        f"edge_agent.serving.load('har', state_dir={str(versions.store.root)!r})(numpy.zeros(({SIZE}, 3)))\n"
        "print(*sys.modules)"
    )

    loaded = modules(served)
    runtime_alone = modules(f"import sys, numpy, msgspec, {versions.maker.module}; print(*sys.modules)")

    packages = {name.partition(".")[0] for name in loaded - runtime_alone} - set(sys.stdlib_module_names)
    assert packages <= {"edge_agent", "numpy"}
    ours = {name.split(".")[1] for name in loaded if name.startswith("edge_agent.")}
    assert not ours & {"worker", "calibration", "quant", "sources", "agent", "mqtt", "job", "store"}
    assert not {"onnx", "paho", "cryptography", "asyncio"} & loaded


def modules(code: str) -> set[str]:
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ended.stdout.split())
