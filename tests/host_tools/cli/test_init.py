"""``host-tools init``: one command makes what every other command needs. With a real mosquitto, password and ACL."""

import os
import pty
import re
import select
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import MOSQUITTO, MosquittoBroker
from support.host import Ended, Host

from edge_agent.errors import ConfigError
from host_tools.broker.settings import load_settings
from host_tools.broker.signing import generate_key, read_key
from host_tools.cli.app import main
from host_tools.setup.broker_account import acl_lines
from host_tools.setup.host_file import host_file_text

PAGE = Path(__file__).parents[3] / "docs" / "broker.md"
_MAIN = "import sys; sys.argv[0] = 'host-tools'; from host_tools.cli.app import main; main()"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto that lets the operator in, and nobody else."""
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto: sudo apt install mosquitto")
    folder = tmp_path / "broker"
    folder.mkdir()
    passwords, acl = folder / "passwords", folder / "acl"
    passwords.touch(0o600)
    tool = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
    subprocess.run([tool, "-b", str(passwords), "operator", "hunter-2"], check=True, capture_output=True)
    acl.touch(0o600)
    acl.write_text("\n".join(acl_lines("operator", "ea/v1")) + "\n", encoding="utf-8")
    started = MosquittoBroker(folder, f"password_file {passwords}", f"acl_file {acl}")
    config = folder / "mosquitto.conf"
    config.write_text(config.read_text().replace("allow_anonymous true", "allow_anonymous false"), encoding="utf-8")
    started.start()
    yield started
    started.stop()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    (tmp_path / "password").write_text("hunter-2\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return Host("", "ea/v1", tmp_path, monkeypatch, capsys)


def files(host: Host) -> dict[str, Path]:
    return {path.name: path for path in (host.folder / "config").rglob("*") if path.is_file()}


def init(host: Host, *argv: str) -> Ended:
    return host.run_bare(main, "init", *argv)


@pytest.mark.mosquitto
def test_one_command_makes_all_that_other_commands_need(host: Host, broker: MosquittoBroker) -> None:
    made = init(host, "--broker", broker.url, "--username", "operator", "--password-file", "password")

    assert made.exit == 0, made.err
    assert {name: stat.S_IMODE(path.stat().st_mode) for name, path in files(host).items()} == {
        "host.toml": 0o600, "operator.key": 0o600, "operator.pem": 0o644,
    }  # fmt: skip
    settings = load_settings({})
    assert settings.password_file == str(host.folder / "password"), "found from every folder"
    read_key(Path(settings.sign))
    assert f"connected to {broker.url}, which knows no device yet" in made.out
    assert "sudo install -m 644 operator.pem /etc/edge-agent/trusted-keys/" in made.out
    host.monkeypatch.chdir("/")
    assert host.run_bare(main, "devices", "--json").exit == 0


@pytest.mark.mosquitto
def test_a_broker_without_the_account_is_told_about_and_nothing_is_written(host: Host, broker: MosquittoBroker) -> None:
    refused = init(host, "--broker", broker.url, "--username", "anna", "--password-file", "password")

    assert refused.exit == 3
    assert "user anna" in refused.err
    assert "broker_refused" in refused.err
    assert files(host) == {}


def test_a_broker_that_is_away_is_told_about_and_nothing_is_written(host: Host) -> None:
    away = init(host, "--broker", "mqtt://127.0.0.1:9", "--broker-timeout", "0.2")
    untested = init(host, "--broker", "mqtt://127.0.0.1:9", "--untested", "--unsigned", "--json")

    assert away.exit == 3
    assert "--untested writes the file" in away.err
    assert untested.exit == 0
    assert untested.events[-1]["devices"] is None
    assert tomllib.loads(files(host)["host.toml"].read_text()) == {"broker": "mqtt://127.0.0.1:9"}


def test_a_file_that_exists_is_changed_only_by_force(host: Host) -> None:
    first = init(host, "--broker", "mqtt://one", "--username", "anna", "--untested", "--unsigned")
    refused = init(host, "--broker", "mqtt://two", "--untested")
    changed = init(host, "--broker", "mqtt://two", "--untested", "--force", "--unsigned")

    assert (first.exit, refused.exit, changed.exit) == (0, 2, 0)
    assert "give --force" in refused.err
    settings = load_settings({})
    assert (settings.url, settings.username) == ("mqtt://two", "anna")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "no broker: give --broker mqtt://HOST"),
        (["--broker", "mqtt//x"], "must be mqtt://HOST"),
        (["--broker", "mqtts://x", "--ca-file", "nowhere.pem"], "ca_file: no such file"),
        (["--broker", "mqtt://x", "--sign", "password"], "is no private key in PEM"),
        (["--broker", "mqtt://x", "--sign", "a", "--unsigned"], "contradict each other"),
    ],
)
def test_a_wrong_option_writes_nothing(host: Host, argv: list[str], words: str) -> None:
    ended = init(host, *argv)

    assert ended.exit == 2
    assert words in ended.err
    assert files(host) == {}


def on_terminal(host: Host, answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Run it on a terminal, and type each answer once its question is there; exit code and screen."""
    pid, terminal = pty.fork()
    if not pid:
        os.execve(sys.executable, [sys.executable, "-c", _MAIN, "init"], {**os.environ, "TERM": "dumb"})  # noqa: S606
    shown, left = "", list(answers)
    while select.select([terminal], [], [], 60)[0]:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part.decode()
        if left and left[0][0] in shown.rpartition("\n")[2]:
            os.write(terminal, left.pop(0)[1].encode())
            shown += "\n"
    os.close(terminal)
    assert not left, shown
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


@pytest.mark.mosquitto
@pytest.mark.children(covered=False)
def test_a_private_key_called_pem_is_never_handed_out(host: Host) -> None:
    made = init(host, "--broker", "mqtt://127.0.0.1", "--untested", "--sign", "op.pem")

    read_key(host.folder / "op.pem")
    assert b"PUBLIC KEY" in (host.folder / "op.pub.pem").read_bytes()
    assert "op.pub.pem to every device" in made.out
    again = init(host, "--broker", "mqtt://127.0.0.1", "--untested", "--force", "--sign", "op.pem")
    assert (made.exit, again.exit) == (0, 0)
    assert "op.pub.pem to every device" in again.out


def test_the_public_half_of_a_key_that_is_there_is_written_if_it_is_missing_and_never_a_wrong_one(host: Host) -> None:
    generate_key(host.folder / "mine.key", host.folder / "mine.pem")
    public = (host.folder / "mine.pem").read_bytes()
    (host.folder / "mine.pem").unlink()

    written = init(host, "--broker", "mqtt://127.0.0.1", "--untested", "--sign", "mine.key")
    assert (host.folder / "mine.pem").read_bytes() == public
    (host.folder / "mine.pem").write_text("something else")
    refused = init(host, "--broker", "mqtt://127.0.0.1", "--untested", "--force", "--sign", "mine.key")

    assert (written.exit, refused.exit) == (0, 0)
    assert "mine.pem is not the public half of the key that signs; move it away" in refused.err
    assert "openssl pkey -in" in refused.err
    assert "mine.pem to every device" in written.out
    assert "to every device" not in refused.out
    with pytest.raises(ConfigError, match="cannot hold both halves"):
        generate_key(host.folder / "one", host.folder / "one")


@pytest.mark.mosquitto
def test_on_a_terminal_it_asks(host: Host, broker: MosquittoBroker) -> None:
    answers = [
        ("broker URL", "nonsense\n"),
        ("broker URL", f"{broker.url}\n"),
        ("user name", "operator\n"),
        ("password of operator", "hunter-2\n"),
        ("make the key", "\n"),
    ]

    code, shown = on_terminal(host, answers)

    assert code == 0, shown
    assert "must be mqtt://HOST" in shown
    assert set(files(host)) == {"host.toml", "operator.key", "operator.pem", "broker-password"}
    assert files(host)["broker-password"].read_text() == "hunter-2\n"
    assert stat.S_IMODE(files(host)["broker-password"].stat().st_mode) == 0o600
    assert "hunter-2" not in shown


@pytest.mark.parametrize("key", ["\x03", "\x04"])
@pytest.mark.children(covered=False)
def test_ctrl_c_at_a_question_writes_nothing(host: Host, key: str) -> None:
    code, shown = on_terminal(host, [("broker URL", "mqtt://127.0.0.1:9\n"), ("user name", key)])

    assert code == 130, shown
    assert "nothing was written" in shown
    assert "Traceback" not in shown
    assert files(host) == {}


def test_the_account_is_the_one_that_the_page_about_brokers_makes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = re.search(r"^user operator\n(?:topic .*\n)+", page, re.MULTILINE)

    assert found is not None
    assert acl_lines("operator", "ea/v1") == found[0].splitlines()


def test_the_text_of_the_file_is_read_as_it_was_meant() -> None:
    table = {
        "broker": "mqtt://x",
        "username": 'a"b\\c é',
        "broker_timeout_s": 5.0,
        "max_broker_bytes": 1000,
        "sign": "",
    }

    assert tomllib.loads(host_file_text(table)) == {key: value for key, value in table.items() if value}
