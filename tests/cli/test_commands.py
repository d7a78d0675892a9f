"""What is the same in every command of edge-agent."""

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_agent import __version__
from edge_agent.acquisition.device_lock import in_use
from edge_agent.cli import COMMANDS, main
from edge_agent.settings.device import DEFAULT_PATH
from host_tools.demo.simulator import SerialImu


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", *sorted(COMMANDS)])
def test_every_command_tells_the_version(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*([command] if command else []), "--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"edge-agent {__version__}\n"


def test_an_unknown_command_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["quantise"])

    assert ended.value.code == 2
    assert "quantize" in capsys.readouterr().err


def test_a_misspelt_command_is_told_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["stauts", "--json"])

    assert capsys.readouterr().err.endswith("no command 'stauts'; did you mean 'status'?\n")


CURSOR = "|"
"""Marks the word that is completed, where it is not the last."""
CTRL_B = "\x02"
"""Moves a letter back, in every shell."""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["ro"], "rollback"),
        (["c"], "capture cancel clock check-config completion"),
        (["quantize", "--he"], "--help --heldout"),
        (["capture", "imu", "--so"], "--source-config"),
        (["quantize", "--out=my"], "--out=my\\ model.onnx"),
        (["capture", "--config", "device.toml", "--windows", "i"], ""),
        (["capture", "i|", "--config", "device.toml"], "imu"),
        (["capture", "|", "--config", "=", "device.toml"], "imu front"),
        (["try", "m.onnx", "--config", "device.toml", "--source", "f"], "front"),
        (["rollback", "|", "--config", "device.toml"], "har kws"),
        (["forget", "k|", "--config", "device.toml"], "kws"),
        (["completion", "z"], "zsh"),
    ],
)
def test_bash_completes_commands_and_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], completed: str
) -> None:
    (tmp_path / "my model.onnx").touch()
    write_device(tmp_path)
    assert main(["completion"]) == 0
    at = next((place for place, word in enumerate(words, 1) if word.endswith(CURSOR)), len(words))
    line = " ".join(word.removesuffix(CURSOR) or "''" for word in words)
    call = f"COMP_WORDS=(edge-agent {line}); COMP_CWORD={at}; _edge_agent; echo ${{COMPREPLY[@]}}"

    done = subprocess.run(
        ["/bin/bash", "-euc", f"{capsys.readouterr().out}\n{call}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )

    assert done.stdout.split() == completed.split()


def write_device(folder: Path) -> Path:
    """A configuration of two sources, and a state directory that knows two models."""
    (folder / "state" / "models").mkdir(parents=True)
    for name in ("har", "kws"):
        (folder / "state" / "models" / f"{name}.json").touch()
    config = folder / "device.toml"
    config.write_text(
        f'device_id = "pi"\nstate_dir = "{folder}/state"  # here\n[sources.imu]\nkind = "serial"\n[sources.front]\n'
    )
    return config


@pytest.mark.parametrize(
    ("shell", "typed", "completed"),
    [
        ("fish", "edge-agent roll", ["rollback"]),
        ("fish", "edge-agent quantize --held", ["--heldout"]),
        ("fish", "edge-agent capture --config device.toml ", ["front", "imu"]),
        ("fish", "edge-agent try m.onnx --config=device.toml --source f", ["front"]),
        ("fish", "edge-agent rollback --config device.toml k", ["kws"]),
        ("fish", "edge-agent completion z", ["zsh"]),
        ("zsh", "edge-agent roll\t", ["rollback"]),
        ("zsh", "edge-agent try m.onnx --config device.toml --source fr\t", ["front"]),
    ],
)
def test_other_shells_complete_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shell: str, typed: str, completed: list[str]
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    write_device(tmp_path)
    assert main(["completion", shell]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)

    if shell == "fish":
        asked = f"source script; complete -C '{typed}'"
        argv = ["fish", "--no-config", "-c", asked]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stderr == ""
        assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == completed
    else:
        shown = at_shell(
            tmp_path, ["zsh", "-f", "-i"], ["source script", "edge-agent() { print got $* }", typed, "exit"]
        )
        assert completed[0] in shown.partition("got ")[2]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("typed", "behind"),
    [
        ("rollback h", " --config hostile.toml"),
        ("try m.onnx --config hostile.toml --source ", ""),
    ],
)
def test_a_name_never_runs_as_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shell: str, typed: str, behind: str
) -> None:
    """Tab at a real shell, among names that others may have written."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    (tmp_path / "state" / "models").mkdir(parents=True)
    hostile = ("$(touch PWNED)", "`touch PWNED`", "h$(touch PWNED)", "h;touch PWNED;", "h\ntouch PWNED", "*", "har")
    for name in hostile:
        (tmp_path / "state" / "models" / f"{name}.json").touch()
    tables = "".join(f"[sources.{name}]\n" for name in hostile)
    (tmp_path / "hostile.toml").write_text(f'state_dir = "{tmp_path}/state"\n{tables}')
    assert main(["completion", shell]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)

    if shell == "fish":
        line = f"edge-agent{behind} {typed}"  # it completes the end of a line
        argv = ["fish", "--no-config", "-c", f"source ./script; complete -C '{line}'"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == ["har"]
    else:
        argv = {"bash": ["/bin/bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
        taken = "edge-agent() { printf got; printf '<%s>' \"$@\"; printf '\\n'; }"
        back = CTRL_B * len(behind)
        shown = at_shell(tmp_path, argv, ["source ./script", taken, f"edge-agent {typed}{behind}{back}\t", "exit"])
        assert "<har>" in shown.partition("got<")[2]
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("quantize my\t", "<quantize><my model.onnx>"),
        ("quantize plain.onnx --out my\t", "<quantize><plain.onnx><--out><my model.onnx>"),
        ("quantize --out=my\t", "<quantize><--out=my model.onnx>"),
        ("quantize --out=deep/in\t", "<quantize><--out=deep/in$ide>"),
        ("quanti\tpl\t--recipe=de\t", "<quantize><plain.onnx><--recipe=deep/>"),
    ],
)
def test_a_person_at_bash_gets_files_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: str, given: str
) -> None:
    """A real shell on a terminal: what the Tab key writes is what the command gets."""
    for name in ("my model.onnx", "plain.onnx", "deep/in$ide"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert main(["completion"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(
        f"{capsys.readouterr().out}\nedge-agent() {{ printf 'got'; printf '<%s>' \"$@\"; printf '\\n'; }}\n"
    )

    shown = at_bash(tmp_path, [f"source {script.name}", f"edge-agent {typed}", "exit"])

    assert f"got{given}" in shown


def at_bash(folder: Path, lines: list[str]) -> str:
    """What a terminal shows while these lines are typed at bash there."""
    return at_shell(folder, ["/bin/bash", "--norc", "--noprofile", "-i"], lines)


def at_shell(folder: Path, argv: list[str], lines: list[str]) -> str:
    """What a terminal shows while these lines are typed at a shell there."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "INPUTRC": os.devnull, "HOME": str(folder)}
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment) as bash:
        os.close(theirs)
        os.write(ours, "".join(f"{line}\n" for line in lines).encode())
        shown = b""
        with contextlib.suppress(OSError):  # it has ended
            while part := os.read(ours, 4096):
                shown += part
        os.close(ours)
        bash.wait(60)
    return shown.decode()


def test_ctrl_c_is_130_and_no_traceback(tmp_path: Path) -> None:
    with SerialImu(tmp_path / "imu", pace="1") as imu:
        config = tmp_path / "config.toml"
        config.write_text(
            f'device_id = "pi"\n[sources.imu]\nkind = "serial"\nport = "{imu.port}"\n'
            'channels = ["ax", "ay", "az", "gx", "gy", "gz"]\nrate_hz = 50\n'
        )
        argv = [sys.executable, "-m", "edge_agent", "capture", "imu", "--source-config", str(config)]
        capture = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        while not in_use(str(imu.port)):
            assert capture.poll() is None
            time.sleep(0.05)
        time.sleep(0.2)
        capture.send_signal(signal.SIGINT)

        assert capture.stderr is not None
        assert capture.stderr.read() == "edge-agent capture: interrupted\n"
        capture.stderr.close()
        assert capture.wait() == 130


def test_a_missing_config_is_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--config", str(tmp_path / "none.toml")]) == 2
    assert f"cannot read {tmp_path / 'none.toml'}: No such file" in capsys.readouterr().err


def test_a_device_without_keys_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'device_id = "pi"\nstate_dir = "{tmp_path}/state"\n[trust]\nkeys_dir = "{tmp_path}"\n')

    assert main(["run", "--config", str(path)]) == 2
    assert "host-tools keygen" in capsys.readouterr().err


def test_without_a_command_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])

    assert ended.value.code == 0
    assert "edge-agent check-config" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["quantize", "m.onnx", "--calibraton", "c.npz", "--out", "o"], "no option --calibraton; did you mean '--cali"),
        (["status", "--confg=c.toml"], "no option --confg; did you mean '--config'?"),
        (["capture", "imu", "--xyz"], "no option --xyz; known: --channels"),
    ],
)
def test_a_misspelt_option_is_told_what_was_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    assert meant in capsys.readouterr().err


def test_an_option_may_be_shortened(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'device_id = "pi"\nstate_dir = "{tmp_path}/state"\n')

    assert main(["status", "--conf", str(config)]) == 0


def test_a_folder_that_cannot_be_made_is_named_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("m.onnx", "c.npz"):
        (tmp_path / name).write_bytes(b"x")

    code = main([
        "quantize", str(tmp_path / "m.onnx"), "--calibration", str(tmp_path / "c.npz"), "--out", "/proc/nowhere/out",
    ])  # fmt: skip

    assert code == 2
    assert re.search(r"^edge-agent quantize: /proc/nowhere\S*: .*; check the path", capsys.readouterr().err)


def test_a_command_that_finds_no_configuration_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    if DEFAULT_PATH.exists():
        pytest.skip("needs a machine where edge-agent is not installed")

    assert main(["status"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"edge-agent status: there is no {DEFAULT_PATH} yet; give --config FILE, or run edge-agent")


def test_a_misspelt_name_of_the_device_is_told_what_was_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('devic_id = "pi"\n')

    assert main(["check-config", "--config", str(config)]) == 2
    assert "unknown key 'devic_id'; did you mean 'device_id'?" in capsys.readouterr().err
