"""``edge-agent init`` as a process of its own: at a terminal, with answers from a pipe, interrupted."""

import os
import pty
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

NOBODY = "mqtt://127.0.0.1:9"


class Terminal:
    """The command at a terminal, answered question by question."""

    def __init__(self, path: Path, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        argv = [sys.executable, "-m", "edge_agent", "init", "--config", str(path), *arguments]
        environment = {**os.environ, "TERM": "dumb", "INPUTRC": os.devnull}
        self.process = subprocess.Popen(
            argv, stdin=theirs, stdout=theirs, stderr=theirs, cwd=path.parent, env=environment, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, and type."""
        self.expect(question)
        os.write(self._ours, f"{text}\n".encode())

    def expect(self, text: str) -> None:
        """Wait until this is shown, behind all that was waited for before."""
        while text not in self.shown:
            try:
                part = os.read(self._ours, 4096)
            except OSError:
                part = b""
            assert part, f"{text!r} is not in {self.shown!r}"
            self.shown += part.decode()
        self.shown = self.shown.partition(text)[2]

    def end(self) -> int:
        """Its exit code; ``shown`` is all that came after the last question."""
        try:
            while part := os.read(self._ours, 4096):
                self.shown += part.decode()
        except OSError:  # it has ended
            pass
        os.close(self._ours)
        return self.process.wait(60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def written(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def test_every_question_of_a_serial_sensor_behind_tls(path: Path) -> None:
    terminal = Terminal(path)
    terminal.answer("Name of this device in topics and reports [", "Kitchen")
    terminal.expect("device_id 'Kitchen' must match")
    terminal.answer("Name of this device", "kitchen")
    terminal.answer("Broker (mqtt://HOST, or mqtts://HOST with TLS) [mqtt://127.0.0.1]: ", "mqtts://127.0.0.1:9")
    terminal.answer("File with the CA", "ca.pem")
    terminal.answer("User name at the broker (empty: none): ", "pi")
    terminal.answer("File with the password", "password")
    terminal.answer("Anybody, on a closed network for a trial only (yes or no) [no]: ", "")
    terminal.answer("Sensor: a number, KIND:WHERE", "serial:/dev/ttyUSB7")
    terminal.answer("What manifests call it [imu]: ", "shaker")
    terminal.answer("Its channels", "ax,ay")
    for wrong in ("nan", "inf", "0", "fast"):
        terminal.answer("Samples a second: ", wrong)
        terminal.expect(f"{wrong!r} is no rate")
    terminal.answer("Samples a second: ", "50")

    assert terminal.end() == 0
    config = written(path)
    folder = str(path.parent)
    assert config["device_id"] == "kitchen"
    assert config["mqtt"] == config["mqtt"] | {
        "url": "mqtts://127.0.0.1:9", "ca_file": f"{folder}/ca.pem", "username": "pi",
        "password_file": f"{folder}/password",
    }  # fmt: skip
    assert config["trust"]["allow_unsigned"] is False
    assert config["sources"] == {
        "shaker": {"kind": "serial", "port": "/dev/ttyUSB7", "channels": ["ax", "ay"], "rate_hz": 50, "baud": 115_200}
    }
    assert "edge-agent doctor --config" in terminal.shown


def test_ctrl_c_writes_nothing(path: Path) -> None:
    terminal = Terminal(path)
    terminal.answer("Name of this device", "kitchen")
    terminal.expect("Broker (")
    terminal.process.send_signal(signal.SIGINT)

    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
    assert not list(path.parent.iterdir())


def test_the_end_of_the_input_writes_nothing(path: Path) -> None:
    terminal = Terminal(path)
    terminal.answer("Name of this device", "\x04")  # Ctrl-D, where a line begins

    assert terminal.end() == 2
    assert "nobody answers; give --device-id, or --yes for the defaults" in terminal.shown
    assert not path.exists()


def test_yes_asks_nothing_at_a_terminal_either(path: Path) -> None:
    terminal = Terminal(path, "--yes", "--broker", NOBODY)

    assert terminal.end() == 0
    assert "Name of this device" not in terminal.shown
    assert written(path)["mqtt"]["url"] == NOBODY


def test_answers_from_a_pipe(path: Path) -> None:
    answers = ["kitchen", NOBODY, "", "yes", "none"]

    done = by_pipe(path, "".join(f"{answer}\n" for answer in answers).encode())

    assert done.returncode == 0, done.stderr
    assert written(path)["device_id"] == "kitchen"
    assert written(path)["trust"]["allow_unsigned"] is True
    assert "sources" not in written(path)


def test_an_answer_that_no_file_can_hold_is_asked_again(path: Path) -> None:
    done = by_pipe(path, b"kitchen\n" + NOBODY.encode() + b"\nb\xff\x7fb\nbob\n\nno\nnone\n")

    assert done.returncode == 0, done.stderr
    assert b"cannot be printed; give it without them" in done.stdout
    assert written(path)["mqtt"]["username"] == "bob"


def by_pipe(path: Path, answers: bytes) -> "subprocess.CompletedProcess[bytes]":
    argv = [sys.executable, "-m", "edge_agent", "init", "--config", str(path)]
    return subprocess.run(argv, input=answers, capture_output=True, check=False, timeout=120)
