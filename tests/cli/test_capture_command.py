"""``edge-agent capture`` on recordings and on a simulated sensor: what it prints, writes and refuses."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.captures import CHANNELS, model_info, motion
from support.sensing import NumberedSensor, SourceProcess, fill
from support.trained import CLASSES, write_classifier

from edge_agent.cli import main
from edge_agent.report.channel_table import look_lines, sparkline
from edge_agent.settings.sharing import source_folder
from edge_agent.worker.data.array_matching import match_arrays
from edge_agent.worker.data.split import split_rows
from host_tools.demo.simulator import SerialImu

SIZE, HOP = 40, 20


def sources(folder: Path, samples: np.ndarray | None = None, **options: Any) -> Path:
    """A file with ``[sources.imu]`` only: a recording, or what ``options`` say."""
    table = options
    if samples is not None:
        np.savez(folder / "r.npz", samples=samples)
        table = {"kind": "replay", "path": str(folder / "r.npz"), "channels": CHANNELS, "rate_hz": 50, "rate": "max"}
    path = folder / "sources.toml"
    path.write_text("[sources.imu]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items()))
    return path


def capture(where: Path, *options: object) -> int:
    """The exit code of the command."""
    return main(["capture", "imu", "--source-config", str(where), *map(str, options)])


def windows(count: int = 60) -> tuple[object, ...]:
    return ("--windows", count, "--size", SIZE, "--hop", HOP)


def test_what_it_shows_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = motion(4000)
    where = sources(tmp_path, samples)

    assert capture(where, *windows(), "--out", tmp_path / "d.npz") == 0

    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].split() == ["CHANNEL", "MIN", "MEAN", "MAX", "STD"]
    assert [line.split()[0] for line in lines[1:4]] == CHANNELS
    assert set(lines[1].split()[-1]) <= set("▁▂▃▄▅▆▇█")
    assert "60 windows of 40 samples (rate_hz says 50)" in shown.out
    assert shown.err == ""
    with np.load(tmp_path / "d.npz") as file:
        taken = file["windows"]
    assert (taken.shape, taken.dtype) == ((60, SIZE, 3), np.float32)
    assert np.array_equal(taken[0], samples[:SIZE])
    assert np.array_equal(taken[1], samples[HOP : HOP + SIZE])


@pytest.mark.parametrize(("factor", "code"), [(1, 0), (9.81, 0), (1000, 4)])
def test_what_the_manifests_standardize_makes_of_it_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: float, code: int
) -> None:
    samples = motion(4000)
    numbers = [[round(float(value), 3) for value in column] for column in (samples.mean(axis=0), samples.std(axis=0))]
    manifest = tmp_path / "m.toml"
    manifest.write_text(
        f'name = "m"\n[input]\nsource = "imu"\nchannels = {CHANNELS}\nwindow = {{ size = {SIZE}, hop = {HOP} }}\n'
        f'steps = [{{ op = "standardize", mean = {numbers[0]}, std = {numbers[1]} }}]\n'
    )

    assert capture(sources(tmp_path, factor * samples), "--manifest", manifest) == code

    shown = capsys.readouterr().out
    assert ("(scale_unlike)" in shown) == (factor != 1)
    assert ('put { op = "scale", factor = 0.001 } before the step' in shown) == (factor == 1000)


def test_a_rate_that_the_recording_says_is_not_put_into_the_operators_mouth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{number / 50 + 1:.2f},{a},{b}\n" for number, (a, b) in enumerate(motion(4000, 2)))
    (tmp_path / "r.csv").write_text("t,ax,ay\n" + rows)
    where = tmp_path / "config.toml"
    where.write_text(f'[sources.imu]\nkind = "replay"\npath = "{tmp_path / "r.csv"}"\nrate = "max"\n')

    assert capture(where, *windows()) == 0
    assert "60 windows of 40 samples (the time in column 't' says 50)" in capsys.readouterr().out
    assert capture(where, *windows(), "--json") == 0
    assert json.loads(capsys.readouterr().out)["rate_said_by"] == "the time in column 't'"


def test_groups_share_no_sample_and_suit_quantize(tmp_path: Path) -> None:
    samples = np.arange(12_000, dtype=np.float32).reshape(-1, 3)

    capture(sources(tmp_path, samples), *windows(), "--out", tmp_path / "d.npz")

    with np.load(tmp_path / "d.npz") as file:
        taken, groups = file["windows"], file["groups"]
    spans = {group: (taken[groups == group].min(), taken[groups == group].max()) for group in np.unique(groups)}
    assert len(spans) == 12
    ordered = sorted(spans.values())
    assert all(later[0] - earlier[1] > 3 * SIZE for earlier, later in pairwise(ordered))
    info = model_info({"signal": ("float32", (1, SIZE, 3))})
    assert match_arrays(["windows", "groups"], info) == {"signal": "windows"}
    assert min(len(part) for part in split_rows(60, seed=0, heldout_apart=False, groups=groups).values()) > 0


def test_a_manifest_makes_the_models_inputs(tmp_path: Path) -> None:
    samples = motion(4000)
    (tmp_path / "m.toml").write_text(
        'name = "m"\n[[inputs]]\nname = "x"\nsource = "imu"\nchannels = ["az", "ax"]\n'
        "window = { size = 40, hop = 20 }\n"
        'steps = [{ op = "scale", factor = 2.0 }, { op = "transpose", axes = [1, 0] }]\n'
        '[[inputs]]\nname = "gain"\nconstant = 1.0\n'
    )

    assert capture(sources(tmp_path, samples), "--windows", 10, "--manifest", tmp_path / "m.toml", "--out",
                   tmp_path / "d.npz") == 0  # fmt: skip

    with np.load(tmp_path / "d.npz") as file:
        assert sorted(file) == ["groups", "x"]
        assert np.array_equal(file["x"][0], 2 * samples[:SIZE, [2, 0]].T)


def test_what_would_be_refused_is_shown_and_written_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = motion(4000)
    samples[300:, 1] = samples[300, 1]

    assert capture(sources(tmp_path, samples), *windows(), "--out", tmp_path / "d.npz", "--json") == 4

    body = json.loads(capsys.readouterr().out)
    assert [(finding["code"], finding["refuse"]) for finding in body["findings"]] == [("stuck_channel", True)]
    assert body["arrays"] == {"windows": [60, SIZE, 3], "groups": [60]}
    assert [channel["name"] for channel in body["channels"]] == CHANNELS
    once = np.load(tmp_path / "d.npz")["windows"][:, :HOP]  # overlapping samples count once
    assert body["channels"][0]["max"] == pytest.approx(once[..., 0].max(), rel=1e-6)


def test_values_that_are_no_numbers_are_said_once_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = motion(4000)
    samples[500:520, 0] = np.nan
    samples[1500, 0] = np.inf

    assert capture(sources(tmp_path, samples), *windows()) == 4

    out = capsys.readouterr().out
    assert out.count("(non_finite)") == 1
    assert "nan" not in out.partition("\n60 windows")[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--windows", "0"], "--windows must be 1 or more"),
        (["--size", "0"], "size"),
        (["--out", "d.csv"], "ends in .npz"),
        (["--plot", "missing/p.png"], "in a folder that exists"),
    ],
)
def test_usage_is_said_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    if options == ["--size", "0"]:
        options = ["--size", "-3"]

    assert capture(sources(tmp_path, motion(100)), *options) == 2
    assert says in capsys.readouterr().err


def test_an_unknown_source_or_channel_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = sources(tmp_path, motion(1000))

    assert main(["capture", "imo", "--source-config", str(where)]) == 2
    assert "did you mean 'imu'" in capsys.readouterr().err
    assert capture(where, "--channels", "ax,aq") == 5
    assert "has no channel 'aq'" in capsys.readouterr().err


def test_a_recording_that_ends_too_soon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert capture(sources(tmp_path, motion(500)), *windows(), "--out", tmp_path / "d.npz") == 5

    said = capsys.readouterr().err
    assert "(source_lost)" in said
    assert re.search(r"give --windows \d+, or record \d+ samples for \d+ windows", said)
    assert not (tmp_path / "d.npz").exists()


def test_a_sensor_that_somebody_reads_is_left_to_him(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    channels = ["ax", "ay", "az", "gx", "gy", "gz"]
    where = sources(tmp_path, kind="serial", port=str(tmp_path / "imu"), channels=channels, rate_hz=50)
    code = "import serial, sys; p = serial.Serial(sys.argv[1], exclusive=True); print(p.read(1), flush=True)"
    code += "; sys.stdin.read()"

    with SerialImu(tmp_path / "imu", pace="max"):
        holder = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "imu")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            assert capture(where, *windows(12)) == 5
            said = capsys.readouterr().err
        finally:
            holder.communicate()
        assert capture(where, *windows(12)) == 0

    assert "(source_busy)" in said
    assert f"process {holder.pid}" in said


def test_a_broken_sensor_on_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    channels = ["ax", "ay", "az", "gx", "gy", "gz"]
    where = sources(tmp_path, kind="serial", port=str(tmp_path / "imu"), channels=channels, rate_hz=50)

    with SerialImu(tmp_path / "imu", pace="max", faults=["noise", "unplug@700+0.5"]):
        assert capture(where, *windows(40), "--json") == 0

    body = json.loads(capsys.readouterr().out)
    assert {finding["code"] for finding in body["findings"]} == {"malformed_samples", "stream_gaps"}


def test_the_picture(tmp_path: Path) -> None:
    images = pytest.importorskip("PIL.Image")
    samples = motion(4000)
    samples[:, 1] = np.minimum(samples[:, 1], 0.5)

    assert capture(sources(tmp_path, samples), *windows(), "--plot", tmp_path / "p.png") == 4

    with images.open(tmp_path / "p.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert picture.size[0] == 1120
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    assert counts.max() > 0.5 * len(pixels)  # paper
    for colour in ((0x25, 0x63, 0xEB), (0xD9, 0x77, 0x06), (0x05, 0x96, 0x69)):  # the three strips
        near = np.abs(colours.astype(int) - colour).sum(axis=1) < 60
        assert counts[near].sum() > 300


def test_without_pillow_a_picture_is_no_surprise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "edge_agent.report.channel_plot", raising=False)
    monkeypatch.setitem(sys.modules, "PIL", None)

    assert capture(sources(tmp_path, motion(4000)), "--plot", tmp_path / "p.png", "--out", tmp_path / "d.npz") == 2

    assert "install the extra plot: " in capsys.readouterr().err
    assert not (tmp_path / "d.npz").exists()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A device's configuration, and what its sensor's process has kept in four hours."""
    path = tmp_path / "config.toml"
    path.write_text(
        f'device_id = "pi-01"\nstate_dir = "{tmp_path / "state"}"\n[sources.imu]\nkind = "serial"\n'
        f'port = "{tmp_path / "port"}"\nchannels = ["ax", "ay", "az"]\nrate_hz = 50\nkeep_windows = 120\n'
    )
    folder = source_folder(tmp_path / "state", "imu")
    fill(folder, motion(4 * 3600 * 50), rate_hz=50, stretches=120, channels=CHANNELS, hours=4)
    return path


def test_what_is_kept_is_shown_and_exported(tmp_path: Path, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {}
    for part in ("calibration", "judging"):
        options = ["--kept", part, "--size", "40", "--out", str(tmp_path / f"{part}.npz"), "--config", str(kept)]
        assert main(["capture", "imu", *options]) == 0
        made[part] = dict(np.load(tmp_path / f"{part}.npz"))
    shown = capsys.readouterr().out
    assert main(["capture", "imu", "--kept", "--size", "40", "--windows", "50", "--json", "--config", str(kept)]) == 0
    body = json.loads(capsys.readouterr().out)

    assert re.search(
        r"120 segments are stored over (3[.]\d|4[.]0) h: 48 for calibration, of \d+ regimes?, 72 for", shown
    )
    assert body["kept"]["stretches"] == {"calibration": 48, "judging": 72}
    assert body["windows"] == 50
    assert made["calibration"]["windows"].shape == (48, 40, 3)
    assert made["judging"]["windows"].shape == (72, 40, 3)
    assert not set(made["calibration"]["groups"]) & set(made["judging"]["groups"])


def test_of_what_is_not_kept_there_is_nothing_to_show(
    tmp_path: Path, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", "imu", "--kept", "--size", "400", "--config", str(kept)]) == 5
    assert "set [sources.imu] keep_seconds = 8" in capsys.readouterr().err
    kept.write_text(kept.read_text().replace("/state", "/elsewhere"))
    assert main(["capture", "imu", "--kept", "--config", str(kept)]) == 5
    assert "no samples are stored in" in capsys.readouterr().err
    kept.write_text(kept.read_text().replace("keep_windows = 120", ""))
    assert main(["capture", "imu", "--kept", "--config", str(kept)]) == 2
    said = capsys.readouterr().err
    assert f"set keep_windows = 1000 in [sources.imu] of {kept}, and restart edge-agent" in said
    assert capture(sources(tmp_path, motion(100)), "--kept") == 2


def test_a_shared_sensor_is_read_beside_its_process(
    tmp_path: Path, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = {"kind": "serial", "port": str(tmp_path / "port"), "channels": ["n", "y"], "rate_hz": 200}
    kept.write_text(kept.read_text().replace("rate_hz = 50", "rate_hz = 200"))
    folder = source_folder(tmp_path / "state", "imu")
    with NumberedSensor(tmp_path), SourceProcess(folder, table) as process:
        process.expect(lambda state: state.state == "open")
        out = str(tmp_path / "d.npz")
        assert main(["capture", "imu", "--windows", "4", "--size", "50", "--out", out, "--config", str(kept)]) == 0

    numbers = np.load(out)["windows"][..., 0]
    assert np.all(np.diff(numbers, axis=1) == 1)
    assert "source_busy" not in capsys.readouterr().err


def test_the_line_of_a_channel() -> None:
    assert sparkline(np.arange(8, dtype=np.float32), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.full(5, 3, np.float32), 8) == "▁▁▁▁▁"
    assert sparkline(np.float32([np.nan, 0, 1]), 3) == "?▁█"
    assert look_lines(["x"], np.float32([[np.nan], [np.nan]]))[1].split() == ["x", "-", "-", "-", "-", "??"]


def test_windows_have_the_models_rate(tmp_path: Path) -> None:
    """A source of 50 Hz for a model of 25 Hz, its window in seconds."""
    samples = motion(8000)
    (tmp_path / "m.toml").write_text(
        'name = "m"\n[input]\nsource = "imu"\nrate_hz = 25\nwindow = { seconds = 1.6, hop_seconds = 0.8 }\n'
    )

    assert capture(sources(tmp_path, samples), "--windows", 30, "--manifest", tmp_path / "m.toml", "--out",
                   tmp_path / "d.npz") == 0  # fmt: skip

    with np.load(tmp_path / "d.npz") as file:
        taken = file["windows"]
    assert taken.shape == (30, SIZE, 3)
    assert np.array_equal(taken[0, HOP:], taken[1, :HOP])
    assert np.allclose(taken[0, 5:30], samples[20 + 10 : 20 + 60 : 2], atol=0.35)  # every second one, smoothed


@pytest.mark.slow
@pytest.mark.children(covered=False)
def test_what_is_captured_calibrates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the sensor to an int8 model by hand, one manifest for both commands."""
    model = write_classifier(tmp_path / "classifier.onnx")
    manifest = tmp_path / "m.toml"
    manifest.write_text(
        'name = "m"\n[input]\nsource = "imu"\nchannels = ["ax", "ay", "az"]\nwindow = { size = 64, hop = 32 }\n'
        'steps = [{ op = "transpose", axes = [1, 0] }]\n'
        '[recipe]\nmethod = "static"\ncalibration = "minmax"\nsearch_budget_s = 2\n'
        "[gates]\nmax_latency_ratio = 0\nmin_agreement = 0.8\n"
    )
    where = sources(tmp_path, regimes(12_000))
    given = ["--manifest", manifest, "--windows", 240, "--out", tmp_path / "data.npz"]
    assert capture(where, *given) == 0

    capsys.readouterr()
    out = tmp_path / "out"
    given = [model, "--calibration", tmp_path / "data.npz", "--recipe", manifest, "--out", out, "--json"]
    assert main(["quantize", *map(str, given)]) == 0

    result = json.loads(capsys.readouterr().out)
    assert (result["verdict"], result["chosen"]["method"]) == ("accepted", "static")
    assert sum(result["data"][split]["windows"] for split in ("calibration", "search", "heldout")) == 240
    assert result["data"]["findings"] == [], "stretches of time went together, so that no held-out window overlaps"
    assert (out / "model.onnx").stat().st_size == result["chosen"]["size_bytes"] < 0.5 * model.stat().st_size


def regimes(samples: int) -> np.ndarray:
    """What the classifier of :mod:`support.trained` tells apart, 300 samples of each in turn: ``[samples, 3]``."""
    place = np.arange(samples)
    pitch = (1 + place // 300 % CLASSES)[:, None] * np.array([1.0, 1.5, 2.0])
    noise = np.random.default_rng(0).normal(0, 0.3, (samples, 3))
    return (np.sin(pitch * (2 * np.pi / 64) * place[:, None]) + noise).astype(np.float32)
