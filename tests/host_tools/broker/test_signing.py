"""Keys and signatures of the host, checked as a device checks them."""

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edge_agent.errors import ConfigError, TrustError, WireError
from edge_agent.trust.keyring import read_keyring
from edge_agent.trust.signatures import verify
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope, unseal
from edge_agent.wire.manifest import Blob, Manifest, encode_manifest
from edge_agent.wire.messages import MAX_ORDER_BYTES, Command, encode
from host_tools.broker.signing import enclose, enclose_order, generate_key

MANIFEST = Manifest("ea/v1", "har", 3, "onnx", Blob("0" * 64, 10, ["1" * 64]))
COMMAND = Command(namespace="ea/v1", id="1", action="rollback", model="har", version=3)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("operator", "stranger"):
        (folder / name).mkdir()
        generate_key(folder / f"{name}.key", folder / name / "key.pem")
    return folder


@settings(deadline=None, max_examples=25)
@given(content=st.binary(max_size=400))
def test_a_device_accepts_what_a_trusted_key_signed(keys: Path, content: bytes) -> None:
    envelope = unseal(enclose(content, MANIFEST_TYPE, str(keys / "operator.key")), MANIFEST_TYPE)

    assert envelope.content() == content
    assert verify(envelope, read_keyring(keys / "operator"), 1) == ["key"]


def test_a_device_refuses_a_stranger_and_the_unsigned(keys: Path) -> None:
    for key in ("", str(keys / "stranger.key")):
        envelope = unseal(enclose(b"{}", MANIFEST_TYPE, key), MANIFEST_TYPE)
        with pytest.raises(TrustError, match="0 of 1"):
            verify(envelope, read_keyring(keys / "operator"), 1)


def test_a_signature_holds_for_its_type_and_content_only(keys: Path) -> None:
    signed = unseal(enclose(b"{}", MANIFEST_TYPE, str(keys / "operator.key")), MANIFEST_TYPE)
    trusted = read_keyring(keys / "operator")

    for other in (
        Envelope(signed.payload, COMMAND_TYPE, signed.signatures),
        Envelope("e30K", MANIFEST_TYPE, signed.signatures),
    ):
        with pytest.raises(TrustError):
            verify(other, trusted, 1)


def test_a_private_key_is_for_its_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    private, public = tmp_path / "k.key", tmp_path / "k.pem"
    keyid = generate_key(private, public)
    before = private.read_bytes()

    with pytest.raises(ConfigError, match="never overwritten"):
        generate_key(private, tmp_path / "other.pem")

    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert private.read_bytes() == before
    assert len(keyid) == 16


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.key"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"broken\.key") as caught:
        enclose(b"{}", MANIFEST_TYPE, str(path))

    assert caught.value.code == "usage"


def test_a_public_key_signs_nothing(keys: Path) -> None:
    with pytest.raises(ConfigError, match="no private key in PEM"):
        enclose(b"{}", MANIFEST_TYPE, str(keys / "operator" / "key.pem"))


def test_a_document_that_no_device_would_read(keys: Path) -> None:
    with pytest.raises(WireError) as caught:
        enclose(bytes(MAX_ORDER_BYTES), MANIFEST_TYPE, "")

    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    ("kind", "content", "named"),
    [
        (MANIFEST_TYPE, encode_manifest(MANIFEST), ""),
        (MANIFEST_TYPE, encode_manifest(replace(MANIFEST, version=2**53)), r"9007199254740991 - at `\$\.version`"),
        (MANIFEST_TYPE, encode_manifest(replace(MANIFEST, format="pickle")), r"\$\.format"),
        (COMMAND_TYPE, encode(COMMAND), ""),
        (COMMAND_TYPE, encode(replace(COMMAND, action="dance")), r"\$\.action"),
    ],
)
def test_what_no_device_could_read_is_not_enclosed(kind: str, content: bytes, named: str) -> None:
    if not named:
        assert unseal(enclose_order(content, kind, ""), kind).content() == content
        return
    with pytest.raises(WireError, match=named) as caught:
        enclose_order(content, kind, "")

    assert caught.value.code == "malformed"
    assert "devices cannot read this" in caught.value.message
