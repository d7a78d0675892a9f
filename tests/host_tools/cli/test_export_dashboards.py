"""``host-tools export-dashboards``, and that a wheel has what it writes."""

import zipfile
from pathlib import Path

import pytest
from support.host import Host
from support.installed import build_wheel

from host_tools.cli.app import main

FOLDER = Path(__file__).parents[3] / "host_tools" / "dashboards"
FILES = {"grafana/device.json", "grafana/fleet.json", "grafana/prometheus.json", "prometheus/alerts.yml"}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host("mqtt://127.0.0.1:9", "t/none", tmp_path, monkeypatch, capsys)


def test_it_writes_what_is_ready_and_says_where(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "dashboards"

    ended = host.run_bare(main, "export-dashboards", folder)

    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert ended.exit == 0
    assert written >= FILES
    assert sorted(ended.out.split()) == sorted(str(folder / name) for name in written)
    for name in written:
        assert (folder / name).read_bytes() == (FOLDER / name).read_bytes()


def test_it_replaces_nothing_of_another_without_force(host: Host, tmp_path: Path) -> None:
    mine = tmp_path / "prometheus" / "alerts.yml"
    mine.parent.mkdir()
    mine.write_text("groups: []")

    refused = host.run_bare(main, "export-dashboards", tmp_path)

    assert (refused.exit, mine.read_text()) == (2, "groups: []")
    assert "alerts.yml exists and differs; give --force to replace it" in " ".join(refused.err.split())
    assert not (tmp_path / "grafana").exists()
    assert host.run_bare(main, "export-dashboards", tmp_path, "--force").exit == 0
    assert host.run_bare(main, "export-dashboards", tmp_path).exit == 0  # now they are the same


def test_a_folder_that_cannot_be_made_is_said(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    ended = host.run_bare(main, "export-dashboards", tmp_path / "file")

    assert ended.exit == 2
    assert "Not a directory" in ended.err


def test_a_wheel_has_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path, "9.9.9")) as wheel:
        found = {name.removeprefix("host_tools/dashboards/") for name in wheel.namelist()}

    assert found >= FILES
