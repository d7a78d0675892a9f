"""What every kind of source keeps, whoever wrote it: run for each kind that is found, on the rig in support/rigs.py."""

import ast
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.rigs import RIGS, Rig

from edge_agent.errors import ConfigError, EdgeAgentError, SourceError
from edge_agent.sources import EndOfSource, Source, check_driver, check_table, open_source, own_kinds

ROOT = Path(__file__).parents[2]
CASES = [pytest.param(rig, id=rig.__name__) for kind in own_kinds() for rig in RIGS.get(kind, [])]
AWAY = [case for case in CASES if case.values[0].goes_away]
EXCLUSIVE = [case for case in CASES if case.values[0].exclusive]


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made: Rig = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
def source(rig: Rig) -> Iterator[Source]:
    opened = rig.open()
    yield opened
    opened.close()


def read_for(source: Source, seconds: float, times: list[np.ndarray] | None = None) -> list[np.ndarray]:
    """What comes within ``seconds``; an end is an end."""
    parts: list[np.ndarray] = []
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            arrived = source.read(min(0.2, left))
        except EndOfSource:
            break
        if arrived is not None:
            parts.append(arrived)
            if times is not None:
                times.append(source.arrivals.times.copy())
    return parts


def wait_for_samples(source: Source, timeout_s: float = 20.0) -> np.ndarray:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if (arrived := source.read(0.2)) is not None:
            return arrived
    raise AssertionError(f"no sample in {timeout_s} s: {source.trouble}")


def test_every_kind_has_a_rig() -> None:
    assert set(RIGS) == set(own_kinds())


@pytest.mark.parametrize("rig", CASES, indirect=True)
def test_shape_and_type_are_as_promised_and_channels_are_in_their_places(rig: Rig, source: Source) -> None:
    assert source.channels == rig.channels
    assert source.frame_shape == rig.frame_shape
    samples = np.concatenate(read_for(source, 1.0))

    assert samples.shape[1:] == (*rig.frame_shape, len(rig.channels))
    assert samples.dtype == (np.uint8 if rig.frame_shape else np.float32)
    assert len(samples) > 5
    assert source.malformed == 0
    if not rig.frame_shape:
        assert np.all(np.diff(samples[:, 0]) >= 0)  # nothing is out of order


@pytest.mark.parametrize("rig", CASES, indirect=True)
def test_times_ascend_and_the_rate_is_measured(rig: Rig, source: Source) -> None:
    times: list[np.ndarray] = []
    wait_for_samples(source)
    began = time.monotonic()
    parts = read_for(source, 2.0, times)
    stamps = np.concatenate(times)

    assert len(stamps) == sum(map(len, parts))
    assert np.all(np.diff(stamps) > 0)
    assert began - 2 < stamps[0] <= stamps[-1] <= time.monotonic() + 0.01
    deadline = time.monotonic() + 60
    while (rate_hz := source.arrivals.rate_hz()) is None and time.monotonic() < deadline:
        read_for(source, 0.5)  # the rig stood still on a busy machine, and the stream began anew
    assert rate_hz is not None
    assert source.rate_hz > 0
    assert rate_hz == pytest.approx(source.rate_hz, rel=0.25)


@pytest.mark.parametrize("rig", CASES, indirect=True)
def test_nothing_in_time_is_none_and_is_not_waited_for_longer(rig: Rig, source: Source) -> None:
    started = time.monotonic()
    source.read(0.001)

    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize("rig", CASES, indirect=True)
def test_closing_twice_does_no_harm_and_the_sensor_can_be_opened_again(rig: Rig) -> None:
    first = rig.open()
    wait_for_samples(first)
    first.close()
    first.close()

    second = rig.open()
    try:
        assert wait_for_samples(second).shape[1:] == (*rig.frame_shape, len(rig.channels))
    finally:
        second.close()


@pytest.mark.parametrize("rig", AWAY, indirect=True)
def test_reading_goes_on_when_the_sensor_is_back(rig: Rig, source: Source) -> None:
    wait_for_samples(source)
    rig.unplug()
    read_for(source, 1.5)
    while_gone = read_for(source, 0.5)
    trouble = source.trouble
    rig.plug()

    arrived = wait_for_samples(source)

    assert while_gone == []
    assert trouble
    assert source.gaps >= 1
    assert arrived.shape[1:] == (*rig.frame_shape, len(rig.channels))
    more = read_for(source, 0.5)
    assert more
    assert source.arrivals.rate_hz() is None or source.arrivals.rate_hz() < 3 * source.rate_hz  # type: ignore[operator]


@pytest.mark.parametrize("rig", EXCLUSIVE, indirect=True)
def test_a_second_reader_is_refused_and_told_who_reads(rig: Rig, source: Source) -> None:
    program = (
        "import sys; from edge_agent.sources import open_source\n"
        "from edge_agent.errors import EdgeAgentError\n"
        "try: open_source('it', eval(sys.argv[1]))\n"
        "except EdgeAgentError as error: print(error.code, error.message)"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, repr(rig.table)], capture_output=True, text=True, check=True, timeout=60
    )

    assert other.stdout.startswith("source_busy")
    assert f"is in use by process {os.getpid()} (" in other.stdout


@pytest.mark.parametrize("kind", own_kinds())
def test_an_unknown_option_is_named_with_the_one_that_was_meant(kind: str, tmp_path: Path) -> None:
    rig = RIGS[kind][0](tmp_path)
    try:
        with pytest.raises(ConfigError, match=r"\[sources.it\]: unknown key 'silense_s'; did you mean 'silence_s'"):
            check_table("it", {**rig.table, "silense_s": 3})
        check_table("it", {**rig.table, "silence_s": 3})
    finally:
        rig.close()


ABSENT = {
    "serial": ({"port": "/dev/is-not-there", "channels": ["a"], "rate_hz": 1}, "does not exist"),
    "replay": ({"path": "/is/not/there.npz"}, "cannot be replayed"),
    "camera": ({"device": "/dev/is-not-there"}, "does not exist"),
    "iio": ({"device": "none", "channels": ["accel_x"], "rate_hz": 1}, "no industrial I/O device"),
    "mqtt": ({"url": "mqtt://127.0.0.1:9", "topic": "t", "channels": ["a"], "rate_hz": 1}, "no broker at"),
    "audio": ({"device": "no such device"}, "cannot be opened|needs PortAudio"),
}


@pytest.mark.parametrize("kind", own_kinds())
def test_a_sensor_that_is_not_there_is_unavailable_and_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.sources.mqtt._CONNECT_TIMEOUT_S", 1.0)
    options, says = ABSENT[kind]

    with pytest.raises(SourceError, match=says) as error:
        open_source("it", {"kind": kind, **options})

    assert error.value.code == "source_unavailable"


DRIVERS = {
    "serial": ("serial", "install the extra device: "),
    "camera": ("cv2", "install the extra camera: "),
    "replay": ("PIL", "install the extra camera: "),
    "audio": ("sounddevice", "libportaudio2.*install the extra audio: "),
}


@pytest.mark.parametrize("kind", sorted(DRIVERS))
def test_a_missing_driver_says_what_to_install(kind: str, tmp_path: Path) -> None:
    module, says = DRIVERS[kind]
    (tmp_path / "pictures").mkdir()
    table = {"kind": kind, **ABSENT[kind][0]} | ({"path": str(tmp_path / "pictures")} if kind == "replay" else {})
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"  # what Python itself takes for 'not installed'
        "from edge_agent.sources import check_driver, open_source\n"
        "from edge_agent.errors import EdgeAgentError\n"
        "for call in (check_driver, open_source):\n"
        "    try: call('it', eval(sys.argv[1]))\n"
        "    except EdgeAgentError as error: print(error.code, error.message)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, repr(table)], capture_output=True, text=True, check=True, timeout=60
    )

    first, second = done.stdout.splitlines()
    assert first.startswith(("source_unavailable", "usage"))
    assert second.startswith("source_unavailable")
    assert re.search(says, first)
    assert re.search(says, second)


@pytest.mark.parametrize("kind", own_kinds())
def test_the_docstring_has_an_example_that_is_sound(kind: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / "edge_agent" / "sources" / f"{kind}.py").read_text()))
    assert docstring is not None
    assert f'kind = "{kind}"' in docstring
    example = docstring.split("[sources.", 1)[1].split("\n\n")[0]
    (table,) = tomllib.loads("[sources." + example)["sources"].values()

    check_table("it", table)


@pytest.mark.parametrize("kind", own_kinds())
def test_no_kind_runs_a_command(kind: str) -> None:
    tree = ast.parse((ROOT / "edge_agent" / "sources" / f"{kind}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}

    assert not imported & {"subprocess", "pty", "asyncio", "multiprocessing"}
    assert not {name for name in called if name.startswith(("os.system", "os.popen", "os.exec", "os.spawn"))}


def test_a_kind_of_another_package_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_lidar.py").write_text(
        "import msgspec\nfrom edge_agent.sources.replay import open as _open, Options as _Replay\n"
        "class Options(msgspec.Struct):\n    path: str\n"
        "def open(options): return _open(_Replay(path=options.path, rate_hz=10, rate='max'))\n"
    )
    for name, value in (("lidar", "acme_lidar"), ("broken", "no_such_module_of_acme"), ("empty", "string")):
        info = tmp_path / f"acme_{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[edge_agent.sources]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(tmp_path)
    np.savez(tmp_path / "r.npz", samples=np.ones((5, 1)))

    source = open_source("it", {"kind": "lidar", "path": str(tmp_path / "r.npz")})

    assert source.length == 5
    with pytest.raises(ConfigError, match="unknown key 'paht'; did you mean 'path'"):
        check_table("it", {"kind": "lidar", "paht": "x"})
    with pytest.raises(ConfigError, match=r"kind broken .* cannot be loaded: ModuleNotFoundError"):
        check_table("it", {"kind": "broken"})
    with pytest.raises(ConfigError, match="lacks the struct Options or the function open"):
        check_table("it", {"kind": "empty"})
    with pytest.raises(ConfigError, match="did you mean 'lidar'"):
        check_table("it", {"kind": "lidra"})
    check_driver("it", {"kind": "lidar", "path": "x"})


def test_errors_of_sources_are_of_the_one_tree() -> None:
    assert issubclass(SourceError, EdgeAgentError)
