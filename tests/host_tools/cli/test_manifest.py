"""``host-tools manifest``: on stdout, in a file, and never over another one."""

import shlex
from pathlib import Path

import pytest
from support.device import DEMO_MODEL
from support.host import Ended, Host

from host_tools.cli.app import main
from host_tools.push.manifest_file import read_manifest_file


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host("", "", tmp_path, monkeypatch, capsys)


def drafted(host: Host, *argv: str | Path) -> Ended:
    return host.run_bare(main, "manifest", *argv)


def test_a_draft_is_printed_or_written(host: Host) -> None:
    out = host.folder / "my new.toml"
    printed = drafted(host, DEMO_MODEL, "--name", "gait")
    written = drafted(host, DEMO_MODEL, "--name", "gait", "--out", out)
    again = drafted(host, DEMO_MODEL, "--out", out)

    assert (printed.exit, written.exit, again.exit) == (0, 0, 2)
    assert printed.err == ""
    assert out.read_text(encoding="utf-8") == printed.out
    push = shlex.split(written.out.split("; then: ")[1])
    assert Path(push[0]).name == "push-model"
    assert push[1:4] == [str(DEMO_MODEL), "--manifest", str(out)]
    assert f"{out} exists already" in again.err
    out.write_text(printed.out.replace('source = ""', 'source = "imu"'), encoding="utf-8")
    assert read_manifest_file(out).name == "gait"


def test_a_model_that_cannot_be_read_here_is_said_and_drafted(host: Host) -> None:
    ended = drafted(host, host.model)

    assert ended.exit == 0
    assert "cannot be read here" in ended.err
    assert 'name = "har"' in ended.out


@pytest.mark.parametrize(("name", "word"), [("absent.onnx", "no such file"), ("m.pt", "*.onnx or *.tflite")])
def test_what_is_no_model(host: Host, name: str, word: str) -> None:
    ended = drafted(host, host.folder / name)

    assert ended.exit == 2
    assert word in ended.err


def test_a_name_that_no_topic_may_have(host: Host) -> None:
    ended = drafted(host, DEMO_MODEL, "--name", "Har One")

    assert ended.exit == 2
    assert "'Har One'" in ended.err
