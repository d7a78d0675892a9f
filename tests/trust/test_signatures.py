"""Signatures: what host-tools signs, a device trusts, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_agent.errors import TrustError
from edge_agent.trust.signatures import load_keys, verify
from edge_agent.wire.envelope import Envelope, Signature, seal, unseal
from host_tools.broker.signing import enclose, generate_key

KIND = "application/vnd.edge-agent.manifest.v1+json"


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


def test_a_trusted_key_may_be_a_link_to_elsewhere(tmp_path: Path) -> None:
    for folder in ("keys", "elsewhere"):
        (tmp_path / folder).mkdir()
    generate_key(tmp_path / "a.key", tmp_path / "elsewhere/a.pem")
    (tmp_path / "keys/b.pem").symlink_to("../elsewhere/a.pem")
    signed = enclose(b"manifest", KIND, str(tmp_path / "a.key"))

    argv = [sys.executable, "-m", "edge_agent.trust", str(tmp_path / "keys"), "1"]
    done = subprocess.run(argv, input=signed, capture_output=True, check=True)

    assert done.stdout == b'{"code": "", "keys": ["b"]}\n'


def test_a_key_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no key")

    with pytest.raises(TrustError, match=r"x\.pem"):
        load_keys(tmp_path)


def test_an_unsigned_envelope_is_not_trusted(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "k.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    with pytest.raises(TrustError, match="0 of 1 needed"):
        verify(unseal(seal(b"m", KIND), KIND), load_keys(tmp_path), 1)
