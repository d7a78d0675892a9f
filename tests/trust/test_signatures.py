"""Signatures: what host-tools signs, a device trusts, and nothing else."""

import base64
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_agent.errors import TrustError, WireError
from edge_agent.trust.keyring import read_keyring
from edge_agent.trust.question import Answer, Question
from edge_agent.trust.signatures import verify
from edge_agent.wire.envelope import Envelope, Signature, seal, unseal
from edge_agent.wire.keys import KeyList, ListedKey, key_id, public_key_of_pem
from host_tools.broker.signing import add_signature, enclose, generate_key

KIND = "application/vnd.edge-agent.manifest.v1+json"


def test_signatures(tmp_path: Path) -> None:
    """What host-tools signs the device trusts; a changed byte, a strange key or one key twice it does not."""
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("a", "b"):
        generate_key(tmp_path / f"{name}.key", keys / f"{name}.pem")
    generate_key(tmp_path / "stranger.key", tmp_path / "stranger.pem")
    trusted = read_keyring(keys)

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


def test_a_trusted_key_may_be_a_link_to_elsewhere(tmp_path: Path) -> None:
    for folder in ("keys", "elsewhere"):
        (tmp_path / folder).mkdir()
    generate_key(tmp_path / "a.key", tmp_path / "elsewhere/a.pem")
    (tmp_path / "keys/b.pem").symlink_to("../elsewhere/a.pem")
    signed = enclose(b"manifest", KIND, str(tmp_path / "a.key"))

    argv = [sys.executable, "-m", "edge_agent.trust", str(tmp_path / "keys"), "1"]
    done = subprocess.run(argv, input=signed, capture_output=True, check=True)

    assert done.stdout == b'{"code": "", "keys": ["b"]}\n'


def test_the_trust_child_answers_for_many_envelopes_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        generate_key(tmp_path / f"{name}.key", tmp_path / f"{name}.pem")
    good = unseal(enclose(b"m", KIND, str(tmp_path / "a.key")), KIND)
    both = unseal(add_signature(good, str(tmp_path / "b.key")), KIND)
    forged = Envelope(good.payload, KIND, [Signature(base64.b64encode(bytes(64)).decode(), good.signatures[0].keyid)])
    broken = Envelope("?", KIND, good.signatures)
    found = read_keyring(tmp_path)
    keys = {name: base64.b64encode(raw).decode() for name, raw in found.keys.items()}
    question = msgspec.json.encode(Question(keys, [good, forged, both, broken]))

    argv = [sys.executable, "-m", "edge_agent.trust"]
    answer = subprocess.run(argv, input=question, capture_output=True, check=True)
    none = subprocess.run(argv, input=b"[]", capture_output=True, check=False)

    signed = msgspec.json.decode(answer.stdout, type=Answer).signed
    assert [{found.names[one] for one in ids} for ids in signed] == [{"a"}, set(), {"a", "b"}, set()]
    assert (none.returncode, none.stdout) == (1, b"")


def test_an_envelope_has_no_more_signatures_than_a_device_may_ask_for(tmp_path: Path) -> None:
    """Each costs whoever checks it, and anybody may add some."""
    generate_key(tmp_path / "a.key", tmp_path / "a.pem")
    signed = unseal(enclose(b"m", KIND, str(tmp_path / "a.key")), KIND)

    with pytest.raises(WireError, match="malformed"):
        unseal(Envelope(signed.payload, KIND, signed.signatures * 17).encoded(), KIND)


def test_a_key_file_that_is_no_key_is_named_and_the_others_hold(tmp_path: Path) -> None:
    generate_key(tmp_path / "a.key", tmp_path / "a.pem")
    (tmp_path / "w.pem").write_text("no key")
    (tmp_path / "x.pem").mkdir()
    (tmp_path / "y.pem").write_bytes(other_kind())
    signed = unseal(enclose(b"manifest", KIND, str(tmp_path / "a.key")), KIND)

    found = read_keyring(tmp_path)

    assert [problem.split(".pem")[0][-1] for problem in found.problems] == ["w", "x", "y"]
    assert verify(signed, found, 1) == ["a"]


def test_keys_count_and_not_files(tmp_path: Path) -> None:
    """A copy of a key under another name must not make two signers of one."""
    generate_key(tmp_path / "a.key", tmp_path / "a.pem")
    shutil.copy(tmp_path / "a.pem", tmp_path / "b.pem")
    signed = unseal(enclose(b"manifest", KIND, str(tmp_path / "a.key")), KIND)

    found = read_keyring(tmp_path)

    assert len(found.keys) == 1
    assert "b.pem is the same key as a.pem" in found.problems[0]
    with pytest.raises(TrustError, match="1 of 2 needed"):
        verify(signed, found, 2)


def test_a_key_list_adds_and_revokes(tmp_path: Path) -> None:
    for name in ("old", "new"):
        generate_key(tmp_path / f"{name}.key", tmp_path / f"{name}.pem")
    old, new = (public_key_of_pem((tmp_path / f"{name}.pem").read_bytes()) for name in ("old", "new"))
    (tmp_path / "new.pem").unlink()
    listed = ListedKey("new", base64.b64encode(new).decode())

    found = read_keyring(tmp_path, KeyList(namespace="ea/v1", version=1, keys=[listed], revoked=[key_id(old)]))

    assert dict(found.keys) == {key_id(new): new}
    assert verify(unseal(enclose(b"m", KIND, str(tmp_path / "new.key")), KIND), found, 1) == ["new"]
    with pytest.raises(TrustError):
        verify(unseal(enclose(b"m", KIND, str(tmp_path / "old.key")), KIND), found, 1)


def test_the_raw_key_in_a_pem_is_what_the_library_reads(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate().public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    assert public_key_of_pem(b"# of the operator\r\n" + pem.replace(b"\n", b"\r\n")) == key.public_bytes(
        Encoding.Raw, PublicFormat.Raw
    )


def other_kind() -> bytes:
    """The public half of a key of another kind."""
    key = x25519.X25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_an_unsigned_envelope_is_not_trusted(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "k.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    with pytest.raises(TrustError, match="0 of 1 needed"):
        verify(unseal(seal(b"m", KIND), KIND), read_keyring(tmp_path), 1)
