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
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.demo import MANIFEST, MODEL, read_recording

from edge_agent.cli import main
from edge_agent.settings.inputs import read_inputs
from edge_agent.settings.recipe import read_recipe
from edge_agent.strict import read_toml

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


def test_ctrl_c_leaves_the_manifest_and_nothing_else(trial: Trial) -> None:
    write_table(trial.folder / "imu.csv", standardized()[:30_000])
    config = trial.config(trial.folder / "imu.csv", rate_hz=50)

    with trial.start(MODEL, "--source", "imu", "--config", config) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("capturing 300 windows")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (130, "edge-agent try: interrupted; har.toml is kept\n")
    assert sorted(path.name for path in trial.folder.iterdir()) == ["config.toml", "har.toml", "imu.csv", "scratch"]
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

    assert out.startswith("guessed from the model file; check it in har.toml:\n  input imu: a series of 100 samples")
    assert "data has no file for the model" in err
    assert (trial.folder / "har.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["har.onx"], "no such file: har.onx; did you mean 'har.onnx'?"),
        (["har.txt"], "har.txt: a model must end in .onnx or .tflite"),
        (["har.onnx", "--data", "dta"], "no such folder or file: dta; did you mean 'data'?"),
        (["har.onnx", "--out", "har.json"], "--out har.json: name a file that ends in .toml, in a folder that exists"),
        (["har.onnx", "--out", "old.toml"], "old.toml exists already; to try what it says give --manifest old.toml"),
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
