"""``edge-agent try`` as a process of its own: on the demo's model with real data, and on what may go wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from support import onnx_models
from support.demo import MANIFEST, MODEL, read_recording
from support.onnx_models import value

from edge_agent.cli import main
from edge_agent.cli.trial import measured, rows, shown
from edge_agent.cli.trial.plan import Draft, Plan
from edge_agent.cli.trial.request import Request
from edge_agent.errors import ConfigError
from edge_agent.jobs.data_summary import OutputKindFound
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.model_file.tensors import ModelTensors
from edge_agent.settings.inputs import read_inputs
from edge_agent.settings.recipe import RecipeFile, read_recipe
from edge_agent.strict import read_toml
from edge_agent.wire.manifest import InputContract, Window

pytestmark = pytest.mark.children(covered=False)

CHANNELS = ["ax", "ay", "az", "gx", "gy", "gz"]
ACCURACY = re.compile(r"agree|sqnr|cosine|accura|disagree", re.IGNORECASE)
"""Words that say how close int8 is to float."""


def standardized() -> NDArray[np.float32]:
    """The demo's recording as the model wants it: what its manifest's first step makes of it."""
    step = tomllib.loads(MANIFEST.read_text())["input"]["steps"][0]
    return ((read_recording().samples - step["mean"]) / step["std"]).astype(np.float32)


def write_table(path: Path, samples: NDArray[np.float32]) -> None:
    path.parent.mkdir(exist_ok=True)
    np.savetxt(path, samples, delimiter=",", header=",".join(CHANNELS), comments="", fmt="%.4f")


@pytest.fixture
def trial(tmp_path: Path) -> "Trial":
    return Trial(tmp_path)


class Trial:
    """A folder in which the command is started, with a folder for its temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.scratch.mkdir()

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "edge_agent", "try", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self.scratch)},
        )

    def run(self, *arguments: str | Path, code: int | Collection[int] = 0) -> tuple[str, str]:
        """What it prints on stdout and stderr; nothing is left of its data, whatever happened."""
        with self.start(*arguments) as process:
            said = process.communicate(timeout=240)
        assert process.returncode in ((code,) if isinstance(code, int) else code), said
        assert "Traceback" not in said[1]
        assert not list(self.scratch.iterdir())
        return said

    def ask(self, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
        """The one JSON object on stdout."""
        out, _ = self.run(*arguments, "--json", code=code)
        body: dict[str, Any] = json.loads(out)
        return body

    def config(self, path: Path, **more: object) -> Path:
        """A device's configuration with a sensor that replays a file."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in more.items()]
        config = self.folder / "config.toml"
        config.write_text(
            f'device_id = "pi"\nstate_dir = "{self.folder}/state"\n[sources.imu]\nkind = "replay"\n'
            f'path = "{path}"\n' + "\n".join(lines) + "\n"
        )
        return config


@pytest.mark.slow
def test_on_recordings_it_judges_and_leaves_a_manifest(trial: Trial) -> None:
    begin = 0
    for number, (part, _) in enumerate(read_recording().parts):
        write_table(trial.folder / "data" / f"{number:02}.csv", standardized()[begin : begin + len(part)])
        begin += len(part)

    body = trial.ask(MODEL, "--data", "data")

    chosen, reference = body["result"]["chosen"], body["result"]["reference"]
    assert (body["judged"], body["verdict"], body["windows"]) == (True, "accepted", 630)
    assert chosen["windows"] == 300
    assert chosen["agreement"] > 0.97
    assert chosen["size_bytes"] < 0.5 * reference["size_bytes"]
    assert reference["latency_p50_ms"] > 0
    assert chosen["steady_rss_bytes"] > 0
    assert body["seconds"] < 200  # a minute on a machine that does nothing else
    written = trial.folder / "har.toml"
    text = written.read_text()
    assert text.count("## guessed: ") == len(body["guesses"]) == 2
    assert read_recipe(written).output.kind == "classes"
    written.write_text(text.replace('source = ""', 'source = "imu"'))
    (contract,) = read_inputs(written, read_toml(written))
    assert contract.window is not None
    assert (contract.window.size, contract.steps) == (100, [{"op": "transpose", "axes": [1, 0]}])


@pytest.mark.slow
def test_without_data_it_says_size_and_speed_and_nothing_of_accuracy(trial: Trial) -> None:
    out, err = trial.run(MODEL)

    assert err == ""
    table = {line.split("  ")[0]: re.split(r" {2,}", line)[1:] for line in out.splitlines() if "  " in line}
    assert table["size"][0] == f"{MODEL.stat().st_size / 1024:.1f} KiB"
    assert {len(table[row]) for row in ("size", "latency, median", "memory of the model")} == {4}
    assert re.search(r"^ +float +uniform +dynamic +static$", out, re.MULTILINE)
    assert "\nspeed and size only, not judged: no data; give --data FOLDER or --source NAME\n" in out
    assert not ACCURACY.search(out)
    assert "fill in source in it, then push-model" in out


@pytest.mark.slow
def test_too_few_windows_are_not_judged_and_other_files_are_left_out(trial: Trial) -> None:
    write_table(trial.folder / "data" / "a.csv", standardized()[:3000])
    (trial.folder / "data" / "notes.md").write_text("notes")
    (trial.folder / "data" / "empty.csv").touch()

    body = trial.ask(MODEL, "--data", "data", "--out", "other.toml")

    assert (body["judged"], body["verdict"], body["code"]) == (False, None, "not_judged")
    assert re.fullmatch(r"\d+ windows cannot prove anything; give 118 or more", body["message"])
    assert [one["method"] for one in body["measured"]] == ["uniform", "dynamic", "static"]
    assert body["measured"][2]["size_bytes"] < body["reference"]["size_bytes"]
    assert not ACCURACY.search(json.dumps(body["measured"]))
    assert body["notes"] == [
        "2 files of tables used; left out: 1 of a kind that is not read (.md)",
        "left out: empty.csv: it is empty; record it again",
    ]
    assert (trial.folder / "other.toml").exists()
    assert not (trial.folder / "har.toml").exists()


@pytest.mark.slow
def test_a_sensor_of_this_device_is_named_in_the_manifest(trial: Trial) -> None:
    write_table(trial.folder / "imu.csv", standardized()[:30_000])
    config = trial.config(trial.folder / "imu.csv", rate="max", rate_hz=50)

    out, err = trial.run(MODEL, "--source", "imu", "--config", config, "--windows", "320", code=(0, 4))

    assert err == "capturing 320 windows of imu, about 5.3 min at 50 Hz; for fewer give --windows\n"
    agreement = re.search(r"^agreement +- +(\d+\.\d)% of (\d+) windows, at least", out, re.MULTILINE)
    assert agreement is not None
    assert float(agreement[1]) > 95
    assert 140 < int(agreement[2]) < 180  # of 320, in whole groups
    assert re.search(r"^(accepted|rejected \(\w+\)): ", out, re.MULTILINE)
    (contract,) = read_inputs(trial.folder / "har.toml", read_toml(trial.folder / "har.toml"))
    assert (contract.source, contract.channels) == ("imu", CHANNELS)
    assert "fill in" not in out


def test_ctrl_c_while_it_captures_leaves_nothing(trial: Trial) -> None:
    write_table(trial.folder / "imu.csv", standardized()[:30_000])
    config = trial.config(trial.folder / "imu.csv", rate_hz=50)

    with trial.start(MODEL, "--source", "imu", "--config", config) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("capturing 300 windows")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (130, "edge-agent try: interrupted\n")
    assert sorted(path.name for path in trial.folder.iterdir()) == ["config.toml", "imu.csv", "scratch"]
    assert not list(trial.scratch.iterdir())


def test_a_corrected_manifest_is_done_as_it_says(trial: Trial) -> None:
    """Its channels are not those of the table, which the model's file could not tell."""
    write_table(trial.folder / "data" / "a.csv", standardized()[:3000])
    trial.run(MODEL, "--data", "data/none.csv", code=2)
    corrected = trial.folder / "mine.toml"
    corrected.write_text(MANIFEST.read_text().replace('source = "imu"', 'source = ""').replace('"gz"', '"mz"', 1))

    _, err = trial.run(MODEL, "--data", "data", "--manifest", "mine.toml", code=5)

    assert "a.csv has 6 channels (ax, ay, az, gx, gy, gz): 'mz' is not one of them" in err
    assert "in mine.toml, and pass it with --manifest (channel_unknown)" in err
    assert not (trial.folder / "har.toml").exists()


def test_a_broken_model_leaves_nothing(trial: Trial) -> None:
    (trial.folder / "broken.onnx").write_bytes(MODEL.read_bytes()[:1000])

    body = trial.ask("broken.onnx", code=5)

    assert body["verdict"] == "failed"
    assert body["code"] == "model_unreadable"
    assert body["message"].startswith("broken.onnx is truncated")
    assert body["manifest"] is None
    assert not (trial.folder / "broken.toml").exists()


def test_a_folder_without_a_file_that_can_be_used(trial: Trial) -> None:
    (trial.folder / "data").mkdir()
    (trial.folder / "data" / "notes.md").write_text("notes")

    out, err = trial.run(MODEL, "--data", "data", code=5)

    assert out.startswith("guessed from the model file:\n  input imu: a series of 100 samples")
    assert "data has no file for the model" in err
    assert not (trial.folder / "har.toml").exists()


def test_data_that_do_not_fit_the_guess_leave_a_draft_to_correct(trial: Trial) -> None:
    (trial.folder / "a.csv").write_text("a,b\n" + "1,2\n" * 400)

    _, err = trial.run(MODEL, "--data", "a.csv", code=5)

    assert "correct channels, window or steps in har.toml, and pass it with --manifest" in err
    assert (trial.folder / "har.toml").exists()


def test_rows_of_nan_are_the_reason_and_it_is_said_once(trial: Trial) -> None:
    np.save(trial.folder / "rows.npy", np.full((40, 6, 100), np.nan, np.float32))

    out, err = trial.run(MODEL, "--data", "rows.npy", code=4)

    assert err.count("NaN") == 1
    assert "NaN" not in out
    assert "give 118" not in out + err
    assert not (trial.folder / "har.toml").exists()


def test_a_second_trial_replaces_the_draft_of_the_first_but_none_that_was_edited(trial: Trial) -> None:
    """As the documentation has it: first without data, then with them."""
    (trial.folder / "a.csv").write_text("a,b\n" + "1,2\n" * 400)
    written = trial.folder / "har.toml"
    Draft(request_for(MODEL, written), ModelTensors((), ())).write()
    first = written.read_text()

    trial.run(MODEL, "--data", "a.csv", code=5)  # it does not fit, which is no matter of the file
    assert written.read_text() == first
    edited = first.replace('source = ""', 'source = "imu"')
    written.write_text(edited)

    _, err = trial.run(MODEL, "--data", "a.csv", code=2)
    assert "har.toml exists already; to try what it says give --manifest har.toml" in err
    assert written.read_text() == edited
    trial.run(MODEL, "--data", "a.csv", "--force", code=5)
    assert written.read_text() == first


def test_a_draft_with_a_kind_that_data_have_told_is_still_ours(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model = onnx_models.save(
        onnx_models.model(nodes, [value("x", [1, 1])], [value("y", [1, 1])], {}), tmp_path / "m.onnx"
    )
    request = request_for(model, tmp_path / "m.toml")
    known = ModelTensors((), ())
    Draft(request, known).write(OutputKindFound("regression", "values in an order"))
    assert "found on your data: values in an order" in request.out.read_text()

    Draft(request, known).write()
    assert "found on your data" not in request.out.read_text()
    request.out.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="exists already"):
        Draft(request, known).write()


def request_for(model: Path, out: Path) -> Request:
    return Request(
        model=model, data=None, source="", table={}, shared=None, manifest=None, out=out, force=False, windows=None
    )


def test_memory_wins_over_the_rows_that_a_proof_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = 640 * 640 * 3 * 4
    monkeypatch.setattr(measured, "worker_memory_bytes", lambda _configured: 300 << 20)

    assert measured.room_for_rows(picture) == 16
    assert measured.room_for_rows(1 << 40) == 1
    assert measured.rows_wanted(10.0, 16) == 16
    assert measured.rows_wanted(10.0, 10_000) == measured.FEWEST_ROWS
    assert measured.rows_wanted(0.0, 10_000) == measured.MOST_ROWS


@pytest.mark.slow
def test_a_board_that_has_no_room_for_the_rows_of_a_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measured, "_MEMORY_SHARE", measured.worker_memory_bytes(0) // (24 * 2500))
    np.save(tmp_path / "rows.npy", np.random.default_rng(1).normal(size=(300, 6, 100)).astype(np.float32))

    assert main(["try", str(MODEL), "--data", "rows.npy", "--windows", "200", "--json"]) == 0

    body = json.loads(capsys.readouterr().out)
    room = body["windows"]
    assert 20 <= room <= 30
    assert body["message"] == f"memory has room for {room} windows, and a proof takes 118 or more"
    assert f"memory has room for {room} windows, so that many are used at most" in body["notes"]


def test_fp16_is_named_where_it_was_judged_and_shown_where_it_was_compared() -> None:
    reference = MeasuredModel(method="float", size_bytes=4096)
    half = MeasuredModel(method="float16", size_bytes=2048, agreement=1.0, windows=60)
    chosen = MeasuredModel(method="static", size_bytes=1024, agreement=0.5, windows=60)

    judged = shown.judged(Result(verdict="accepted", reference=reference, chosen=half), 120, "m.onnx")
    compared = shown.judged(Result(verdict="accepted", reference=reference, chosen=chosen, fp16=half), 120, "m.onnx")

    assert judged[0].split() == ["float", "fp16"]
    assert re.split(r" {2,}", compared[0].strip()) == ["float", "int8", "fp16, not judged"]
    assert re.split(r" {2,}", compared[2]) == ["agreement", "-", "50.0% of 60 windows", "100.0% of 60 windows"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["har.onx"], "no such file: har.onx; did you mean 'har.onnx'?"),
        (["har.txt"], "har.txt: a model must end in .onnx or .tflite"),
        (["har.onnx", "--data", "dta"], "no such folder or file: dta; did you mean 'data'?"),
        (["har.onnx", "--out", "har.json"], "--out har.json: name a file that ends in .toml, in a folder that exists"),
        (["har.onnx", "--out", "old.toml"], "old.toml exists already; to try what it says give --manifest old.toml"),
        (["har.onnx", "--out", "old.toml", "--data", "data"], "or --force to replace it"),
        (["har.onnx", "--windows", "9"], "--windows counts windows of data; give --data or --source, too"),
        (["har.onnx", "--manifest", "old.toml", "--force"], "leave out --out and --force"),
        (["har.onnx", "--manifest", "old.toml"], "old.toml: [input] is missing"),
        (["har.onnx", "--source", "imuu", "--config", "c.toml"], "c.toml has no [sources.imuu]; did you mean 'imu'?"),
    ],
)
def test_a_wrong_command_line_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "har.onnx").write_bytes(MODEL.read_bytes())
    (tmp_path / "har.txt").touch()
    (tmp_path / "old.toml").write_text('name = "har"\n')
    (tmp_path / "c.toml").write_text('device_id = "pi"\n[sources.imu]\nkind = "replay"\npath = "x"\n')
    (tmp_path / "data").mkdir()
    before = sorted(tmp_path.iterdir())

    assert main(["try", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_an_input_that_lists_no_channels_takes_all_beside_one_that_does(trial: Trial) -> None:
    write_table(trial.folder / "imu.csv", standardized()[:3000])
    source: dict[str, Any] = {"kind": "replay", "path": str(trial.folder / "imu.csv"), "rate": "max", "rate_hz": 50}
    request = replace(request_for(MODEL, trial.folder / "m.toml"), source="imu", table=source, windows=12)
    contracts = [
        InputContract(name="a", source="imu", channels=["ay"], window=Window(10, 10)),
        InputContract(name="b", source="imu", window=Window(10, 10)),
    ]

    gathered, _ = rows.from_sensor(request, None, Plan(contracts, RecipeFile(), 0, []), trial.scratch)

    with np.load(gathered.path) as made:
        assert {name: made[name].shape for name in made} == {"a": (12, 10, 1), "b": (12, 10, 6), "groups": (12,)}
        assert np.array_equal(made["a"][..., 0], made["b"][..., 1])
