"""Who may sign: two signatures, a list that rotates and revokes, locked keys. A real daemon, a real mosquitto."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from support.brokers import MosquittoBroker
from support.device import Device
from support.host import MANIFEST, Host

from edge_agent.errors import ConfigError
from edge_agent.wire.keys import decode_key_list
from edge_agent.wire.messages import DeviceStatus, JobReport
from host_tools.broker.signing import PASSPHRASE_VARIABLE, enclose, generate_key
from host_tools.cli.app import main

mosquitto_only = pytest.mark.mosquitto
PATIENCE_S = 60


@pytest.fixture
def host(
    mosquitto: MosquittoBroker,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Host:
    found = Host(mosquitto.url, namespace, tmp_path, monkeypatch, capsys)
    found.write_manifest(MANIFEST.replace('["ax", "ay"]', '["ax", "ay", "az"]'))
    for name in ("old", "new", "third"):
        generate_key(tmp_path / f"{name}.key", tmp_path / f"{name}.pem")
    return found


def device(host: Host, min_signatures: int = 1, *trusted: str) -> Device:
    """A device that trusts these keys, and refuses to fetch the host's model, so that each job ends at once."""
    keys = host.folder / "keys"
    keys.mkdir()
    for name in trusted or ("old",):
        (keys / f"{name}.pem").write_bytes((host.folder / f"{name}.pem").read_bytes())
    trust = {"allow_unsigned": False, "keys_dir": str(keys), "min_signatures": min_signatures}
    return Device(host.folder, host.url, host.namespace, trust=trust, limits={"max_model_bytes": 1000})


def pushed(host: Host, device: Device, key: str) -> dict[str, Any]:
    """What a push ends with, signed by this key, on the device."""
    words = "--device", device.name, "--sign", host.folder / f"{key}.key", "--json", "--timeout", str(PATIENCE_S)
    ended = host.push(*words)
    return ended.events[-1]["devices"][device.name]  # type: ignore[no-any-return]


def keys(host: Host, *argv: str | Path) -> dict[str, Any]:
    """The last line of ``host-tools keys --json``."""
    return host.run(main, "keys", "--json", "--timeout", str(PATIENCE_S), *argv).events[-1]


def wait_for_list(device: Device, version: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    kept = device.state / "keys.json"
    while not kept.exists() or decode_key_list(kept.read_bytes()).version != version:
        assert time.monotonic() < deadline, device.log.read_text()
        time.sleep(0.1)


def wait_for_log(device: Device, words: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while words not in device.log.read_text():
        assert time.monotonic() < deadline, device.log.read_text()
        time.sleep(0.1)


@mosquitto_only
def test_a_key_list_rotates_keys_on_every_device(host: Host) -> None:
    old, new = host.folder / "old.key", host.folder / "new.key"
    with device(host) as pi:
        assert pushed(host, pi, "new")["code"] == "untrusted"

        sent = keys(host, "--add", host.folder / "new.pem", "--revoke", host.folder / "old.pem", "--sign", old)
        assert sent["devices"] == {"pi-01": {"code": "", "message": "key list 1 holds: 1 key"}}
        job = pi.expect(JobReport, lambda report: report.ended, PATIENCE_S)
        assert job.code == "model_too_large", "what was refused before its key was trusted is obeyed now"

        assert pushed(host, pi, "old")["code"] == "untrusted"
        assert pushed(host, pi, "new")["code"] == "model_too_large"
        assert keys(host, "--add", host.folder / "third.pem", "--sign", old)["exit"] == 6, "it is revoked"
        shown = keys(host, "--sign", new, "--known", host.folder / "old.pem")["lists"]

    assert [(one["version"], one["trusted"], len(one["revoked"])) for one in shown] == [(1, True, 1), (2, False, 1)]


@mosquitto_only
def test_a_device_that_was_away_follows_the_chain_of_lists(host: Host) -> None:
    """The third list is signed by a key that only the second has added."""
    old, new, known = host.folder / "old.key", host.folder / "new.key", host.folder / "old.pem"
    host.run(main, "keys", "--json", "--timeout", "0", "--add", host.folder / "new.pem", "--sign", old)
    args = "--add", host.folder / "third.pem", "--revoke", host.folder / "old.pem", "--sign", new, "--known", known
    host.run(main, "keys", "--json", "--timeout", "0", *args)

    with device(host) as pi:
        wait_for_list(pi, 2)
        assert pushed(host, pi, "third")["code"] == "model_too_large"
        assert pushed(host, pi, "old")["code"] == "untrusted"
        pi.stop()
        before = len(pi.log.read_text())
        pi.start()
        assert pushed(host, pi, "old")["code"] == "untrusted", "a list is kept across boots"
        said = pi.log.read_text()[before:]

    assert "refused har" in said
    assert "refused keys" not in said, "the lists that the broker keeps are no news, whoever has signed them"


@mosquitto_only
def test_a_second_signature_is_added_at_the_broker(host: Host) -> None:
    with device(host, 2, "old", "new") as pi:
        assert pushed(host, pi, "old")["code"] == "untrusted"
        said = pi.expect(DeviceStatus, lambda status: status.refused is not None, PATIENCE_S).refused
        signed = host.run(
            main, "sign", "har", "--device", pi.name, "--sign", host.folder / "new.key", "--yes", "--json"
        )
        job = pi.expect(JobReport, lambda report: report.ended, PATIENCE_S)

    assert said is not None
    assert "1 of 2 needed signatures" in said.message
    assert signed.exit == 0
    assert job.code == "model_too_large"


@mosquitto_only
def test_the_same_key_in_two_files_is_one_signer(host: Host) -> None:
    """Its files may have been copied; who has one key must not be two people."""
    with device(host, 2, "old", "new") as pi:
        (host.folder / "keys" / "copy.pem").write_bytes((host.folder / "old.pem").read_bytes())
        assert pushed(host, pi, "old")["code"] == "untrusted"


@mosquitto_only
def test_one_unreadable_key_file_is_reported_and_the_others_hold(host: Host) -> None:
    with device(host) as pi:
        (host.folder / "keys" / "broken.pem").write_text("no key")
        wait_for_log(pi, "broken.pem")
        assert pushed(host, pi, "old")["code"] == "model_too_large"


@mosquitto_only
def test_a_list_that_leaves_nobody_is_refused(host: Host) -> None:
    with device(host) as pi:
        sent = keys(host, "--revoke", host.folder / "old.pem", "--sign", host.folder / "old.key")
        assert pushed(host, pi, "old")["code"] == "model_too_large"

    assert sent["devices"]["pi-01"]["code"] == "untrusted"
    assert "would leave 0 keys" in sent["devices"]["pi-01"]["message"]


@mosquitto_only
def test_a_stranger_can_send_no_list(host: Host) -> None:
    with device(host) as pi:
        sent = keys(host, "--add", host.folder / "third.pem", "--sign", host.folder / "third.key")
        pi.expect(DeviceStatus, lambda status: status.refused is not None, PATIENCE_S)
        assert not (pi.state / "keys.json").exists()

    assert sent["exit"] == 6


@mosquitto_only
def test_nothing_is_signed_unseen(host: Host) -> None:
    with device(host, 2, "old", "new") as pi:
        pushed(host, pi, "old")
        unseen = host.run(main, "sign", "har", "--device", pi.name, "--sign", host.folder / "new.key")
        nothing = host.run(main, "sign", "gait", "--device", pi.name, "--sign", host.folder / "new.key", "--yes")

    assert (unseen.exit, nothing.exit) == (2, 2)
    assert "model har 1, job" in unseen.out
    assert "give --yes" in unseen.err


def test_a_locked_key_is_opened_by_its_passphrase(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = host.folder
    (folder / "right").write_text("correct horse\n")
    (folder / "wrong").write_text("battery staple\n")
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(folder / "right"))
    made = host.run_bare(main, "keygen", str(folder / "locked"), "--passphrase", "--json")
    assert made.exit == 0

    assert b"ENCRYPTED" in (folder / "locked.key").read_bytes()
    envelope = json.loads(enclose(b"{}", "x", str(folder / "locked.key")))
    assert envelope["signatures"][0]["keyid"] == made.events[-1]["keyid"]
    locked = folder / "again.key"
    locked.write_bytes((folder / "locked.key").read_bytes())
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(folder / "wrong"))
    with pytest.raises(ConfigError, match="passphrase does not open"):
        enclose(b"{}", "x", str(locked))
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(ConfigError, match="needs a passphrase"):
        enclose(b"{}", "x", str(locked))
