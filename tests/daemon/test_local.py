"""The small parts around the daemon: control socket, sd_notify, clock, memory limits, config, trust, commands."""

import os
import queue
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_agent.cli import COMMANDS, main
from edge_agent.clock import Clock, parse_rfc3339, rfc3339
from edge_agent.config import parse_config, read_config
from edge_agent.control import ControlRequest, ControlServer, ask
from edge_agent.errors import ConfigError, StoreError, TrustError
from edge_agent.memory import HEADROOM_BYTES, worker_memory_bytes
from edge_agent.notify import Notifier
from edge_agent.trust import load_keys, verify
from edge_agent.wire.envelope import Envelope, Signature, seal, unseal
from host_tools.signing import enclose, generate_key

KIND = "application/vnd.edge-agent.manifest.v1+json"


@pytest.mark.parametrize("depth", [0, 4])
def test_control_socket_answers_and_refuses(tmp_path: Path, depth: int) -> None:
    """Also in a folder whose path is longer than a socket's address may be."""
    tmp_path = tmp_path.joinpath(*["a-folder-with-a-rather-long-name"] * depth)
    tmp_path.mkdir(parents=True, exist_ok=True)
    inbox: queue.SimpleQueue[ControlRequest] = queue.SimpleQueue()
    server = ControlServer(tmp_path / "control.sock", inbox.put)

    def consume() -> None:
        inbox.get().reply({"message": "fine"})
        inbox.get().refuse(StoreError("no_previous", "nothing to go back to"))

    threading.Thread(target=consume).start()
    assert ask(tmp_path, "status") == {"message": "fine"}
    with pytest.raises(StoreError, match="no_previous: nothing to go back to"):
        ask(tmp_path, "rollback", "har")
    server.close()

    with pytest.raises(StoreError, match="not_running"):
        ask(tmp_path, "status")


def test_garbage_on_the_control_socket_leaves_it_open(tmp_path: Path) -> None:
    inbox: queue.SimpleQueue[ControlRequest] = queue.SimpleQueue()
    server = ControlServer(tmp_path / "control.sock", inbox.put)
    for garbage in (b"\xff\xfe\n", b"[]\n", b"{}\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "control.sock"))
            client.sendall(garbage)
            client.settimeout(5)
            assert client.recv(10) == b""

    threading.Thread(target=lambda: inbox.get().reply({})).start()
    assert ask(tmp_path, "status") == {}
    server.close()


def test_notifier_speaks_sd_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")

        notifier = Notifier()
        notifier.ready("up")
        notifier._last = -1e9
        notifier.alive()
        notifier.alive()
        notifier.stopping()

        said = [manager.recv(100) for _ in range(3)]
    assert said == [b"READY=1\nSTATUS=up", b"WATCHDOG=1", b"STOPPING=1"]
    assert notifier.interval_s == 10
    assert "NOTIFY_SOCKET" not in os.environ, "a child must not speak for the daemon"


def test_notifier_outside_systemd_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()

    notifier.ready("x")
    notifier.alive()


def test_the_clock_never_goes_back(tmp_path: Path) -> None:
    """A Pi without a battery boots in 1970; what was saved or signed is later."""
    (tmp_path / "clock").write_text("4000000000")

    clock = Clock(tmp_path / "clock")

    assert clock.now() >= 4_000_000_000
    assert not clock.plausible
    clock.seen(4_100_000_000.0)
    assert clock.now() >= 4_100_000_000
    clock.save(force=True)
    assert Clock(tmp_path / "clock").now() >= 4_100_000_000


def test_times_are_rfc3339() -> None:
    assert rfc3339(0.5) == "1970-01-01T00:00:00.500Z"
    assert parse_rfc3339("1970-01-01T00:00:01Z") == 1.0
    assert parse_rfc3339("1970-01-01T00:00:01") is None, "a time without a zone means nothing on another machine"
    assert parse_rfc3339("soon") is None


@pytest.mark.parametrize(
    ("meminfo", "limit", "configured", "expected"),
    [
        ("MemAvailable: 1048576 kB", "max", 0, 1024**3 - HEADROOM_BYTES),
        ("MemAvailable: 1048576 kB", str(512 * 1024**2), 0, 512 * 1024**2 - HEADROOM_BYTES),
        ("MemAvailable: 1048576 kB", "max", 1000, 1000),
        ("MemAvailable: 70000 kB", "max", 0, HEADROOM_BYTES),
        ("", "max", 0, 0),
    ],
)
def test_worker_memory(tmp_path: Path, meminfo: str, limit: str, configured: int, expected: int) -> None:
    for name, text in (
        ("proc/meminfo", f"MemTotal: 4194304 kB\n{meminfo}\n"),
        ("proc/self/cgroup", "0::/system.slice/edge-agent.service\n"),
        ("sys/fs/cgroup/system.slice/memory.max", f"{limit}\n"),
        ("sys/fs/cgroup/system.slice/edge-agent.service/memory.max", "max\n"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert worker_memory_bytes(configured, tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "device_id is missing"),
        ('device_id = "pi"\ngroup = []', "unknown key 'group'; did you mean 'groups'?"),
        ('device_id = "pi"\n[mqtt]\nulr = "x"', r"\[mqtt\]: unknown key 'ulr'; did you mean 'url'?"),
        ('device_id = "Pi 1"', r"device_id 'Pi 1' must match"),
        ('device_id = "pi"\n[mqtt]\nurl = "localhost"', "must be mqtt://"),
        ('device_id = "pi"\n[trust]\nmin_signatures = 0', "min_signatures"),
        ('device_id = "pi"\n[sources.imu]\nport = "x"', r"\[sources.imu\]: kind is missing"),
        ('device_id = "pi"\n[limits]\nstage_timeout_s = "long"', "stage_timeout_s"),
        ("device_id =", "config.toml"),
    ],
)
def test_a_wrong_configuration_is_named_to_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_config(path)


def test_defaults_are_those_of_the_service() -> None:
    config = parse_config({"device_id": "pi-01"})

    assert config.state_dir == "/var/lib/edge-agent"
    assert config.trust.keys_dir == "/etc/edge-agent/trusted-keys"
    assert not config.trust.allow_unsigned


def test_signatures(tmp_path: Path) -> None:
    """What host-tools signs the device trusts; a changed byte, a strange key or one key twice it does not."""
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("a", "b"):
        generate_key(tmp_path / f"{name}.key", keys / f"{name}.pem")
    generate_key(tmp_path / "stranger.key", tmp_path / "stranger.pem")
    trusted = load_keys(keys)

    signed = unseal(enclose(b"manifest", KIND, str(tmp_path / "a.key")), KIND)

    assert verify(signed, trusted, 1) == ["a"]
    twice = Envelope(signed.payload, KIND, [*signed.signatures, *signed.signatures])
    stranger = unseal(enclose(b"manifest", KIND, str(tmp_path / "stranger.key")), KIND)
    changed = Envelope(unseal(seal(b"manifesT", KIND), KIND).payload, KIND, signed.signatures)
    other_type = Envelope(signed.payload, "text/plain", signed.signatures)
    broken = Envelope(signed.payload, KIND, [Signature("!!!"), Signature("AAAA")])
    for wrong, needed in ((twice, 2), (stranger, 1), (changed, 1), (other_type, 1), (broken, 1)):
        with pytest.raises(TrustError, match="untrusted"):
            verify(wrong, trusted, needed)


def test_the_trust_child_answers_in_one_line(tmp_path: Path) -> None:
    generate_key(tmp_path / "a.key", tmp_path / "a.pem")
    signed = enclose(b"manifest", KIND, str(tmp_path / "a.key"))
    argv = [sys.executable, "-m", "edge_agent.trust", str(tmp_path), "1"]

    good = subprocess.run(argv, input=signed, capture_output=True, check=True)
    bad = subprocess.run(argv, input=b"garbage", capture_output=True, check=True)

    assert good.stdout == b'{"code": "", "keys": ["a"]}\n'
    assert b'"malformed"' in bad.stdout


def test_a_key_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no key")

    with pytest.raises(TrustError, match=r"x\.pem"):
        load_keys(tmp_path)


def test_an_unsigned_envelope_is_not_trusted(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "k.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    with pytest.raises(TrustError, match="0 of 1 needed"):
        verify(unseal(seal(b"m", KIND), KIND), load_keys(tmp_path), 1)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert command in capsys.readouterr().out


def test_an_unknown_command_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["quantise"])

    assert ended.value.code == 2
    assert "quantize" in capsys.readouterr().err


def test_a_missing_config_is_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--config", str(tmp_path / "none.toml")]) == 2
    assert f"cannot read {tmp_path / 'none.toml'}: No such file" in capsys.readouterr().err


def test_a_device_without_keys_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'device_id = "pi"\nstate_dir = "{tmp_path}/state"\n[trust]\nkeys_dir = "{tmp_path}"\n')

    assert main(["run", "--config", str(path)]) == 2
    assert "host-tools keygen" in capsys.readouterr().err
