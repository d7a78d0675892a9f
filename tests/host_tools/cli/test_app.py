"""What the commands of the host have in common: version, completion, a hint for a misspelt word, and Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.brokers import Broker
from support.fake_device import FakeDevice
from support.host import Host

from edge_agent import __version__
from edge_agent.wire.messages import ActiveRelease
from host_tools.cli.app import main

SCRIPTS = Path(sys.executable).parent


def script(name: str, *argv: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """A console script as a shell starts it."""
    return subprocess.run(
        [SCRIPTS / name, *argv], capture_output=True, text=True, check=False, env={**os.environ, **env}
    )  # fmt: skip


@pytest.mark.parametrize("argv", [("host-tools",), ("push-model",), ("host-tools", "devices")])
def test_a_command_says_its_version(argv: tuple[str, ...]) -> None:
    ended = script(*argv, "--version")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{argv[0]} {__version__}\n", "")


def test_every_command_says_the_version_unless_it_takes_a_models(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["host-tools", "--help"])
    with pytest.raises(SystemExit):
        main()
    helped = capsys.readouterr().out
    names = re.findall(r"^  ([a-z][a-z-]+) {2,}[A-Z]", helped, re.MULTILINE)
    said = {}
    for name in names:
        monkeypatch.setattr(sys, "argv", ["host-tools", name, "--version"])
        with pytest.raises(SystemExit) as end:
            main()
        said[name] = (end.value.code, capsys.readouterr().out)

    assert len(names) == 21
    assert "..." not in helped.partition("Commands:")[2], "a command's first sentence fits"
    assert {name for name, (code, _) in said.items() if code != 0} == {"rollback", "recalibrate"}
    assert {out.split()[-1] for code, out in said.values() if code == 0} == {__version__}


@pytest.mark.parametrize(
    ("name", "words", "completed"),
    [
        ("host-tools", "host-tools re", {"report", "recalibrate"}),
        ("host-tools", "host-tools rollback --gr", {"--group"}),
        ("push-model", "push-model --ma", {"--manifest", "--max-broker-bytes"}),
    ],
)
def test_a_shell_can_complete_words(name: str, words: str, completed: set[str]) -> None:
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    place = str(len(words.split()) - 1)

    ended = script(name, **{variable: "complete_bash", "COMP_WORDS": words, "COMP_CWORD": place})
    in_bash = ["bash", "-c", f'"{SCRIPTS / name}" --show-completion; exit $?']  # it asks who started it
    shown = subprocess.run(in_bash, capture_output=True, text=True, check=False)

    assert completed <= set(ended.stdout.split())
    assert f"complete -o default -F _{name.replace('-', '_')}_completion {name}" in shown.stdout


@pytest.mark.parametrize(("wrong", "meant"), [("devces", "devices"), ("push-mdel", "push-model"), ("roll", "rollback")])
def test_a_misspelt_command_is_named_with_the_one_that_was_meant(wrong: str, meant: str) -> None:
    ended = script("host-tools", wrong)

    assert ended.returncode == 2
    assert f"No such command {wrong!r}. Did you mean {meant!r}?" in ended.stderr


def interrupted(waits_for: str, *argv: str) -> tuple[int, str]:
    """Exit code and stderr of ``host-tools`` that gets Ctrl-C once it has said, or its broker was asked, something."""
    process = subprocess.Popen([SCRIPTS / "host-tools", *argv], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = ""
    while waits_for not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    return process.returncode, said + rest


def test_ctrl_c_before_there_is_a_broker() -> None:
    code, said = interrupted("the broker is away", "devices", "--broker", "mqtt://127.0.0.1:9")

    assert code == 130
    assert "Traceback" not in said


def test_ctrl_c_leaves_a_command_at_the_broker_and_says_so(
    one_broker: Broker,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    host = Host(one_broker.url, namespace, tmp_path, monkeypatch, capsys)
    active = [ActiveRelease("har", 3, "0" * 16, "accepted")]
    with FakeDevice(host.url, namespace, "pi-01", active=active, done=None) as pi:
        where = ("--broker", host.url, "--namespace", namespace)
        process = subprocess.Popen(
            [SCRIPTS / "host-tools", "rollback", "har", "--device", "pi-01", *where],
            stderr=subprocess.PIPE,
            text=True,
        )
        while not pi.commands:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert said == f"the command stays at the broker until {pi.commands[0].expires}, and devices obey it until then\n"
