"""Hosts and devices of version 0.1.0 and of this one understand each other: the bytes of then, and the values of now.

The files are ``tests/fixtures/v0_1_0/wire``, the values ``support.documents``. A document that is encoded in another
way is another job to a device that has had it already; one with a new field in ``recipe``, ``gates``, ``output``,
``inputs`` or ``state`` is refused by a device of version 0.1.0, even where the field has its default.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.documents import BLOB, CONTRACTS, DATA, KEY_SEED, MANIFESTS, MESSAGES, PAGES
from support.upgrades import FIXTURES

from edge_agent.trust.keyring import read_keyring
from edge_agent.trust.signatures import verify
from edge_agent.wire.chunks import CHUNK_BYTES, BlobPlan, check_chunk, check_page
from edge_agent.wire.digests import content_digest, contract_digest, job_id
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, unseal
from edge_agent.wire.manifest import decode_manifest, encode_manifest
from edge_agent.wire.messages import decode, encode
from edge_agent.wire.steps import check_inputs
from edge_agent.wire.topics import ChunkTopic, CommandTopic, DeviceTopic, PageTopic, Scope, Topics, WantTopic
from host_tools.broker.signing import enclose
from host_tools.push.manifest_file import read_blob

WIRE = FIXTURES / "v0_1_0" / "wire"
DIGESTS: dict[str, Any] = json.loads((WIRE / "digests.json").read_text(encoding="ascii"))
TOPICS: dict[str, dict[str, Any]] = json.loads((WIRE / "topics.json").read_text(encoding="ascii"))
ENVELOPES = [("manifest", MANIFEST_TYPE), ("command", COMMAND_TYPE)]


def test_nothing_of_the_fixtures_is_left_out() -> None:
    files = {path.stem for path in WIRE.glob("m*.json")} - {"manifest-sparse"}

    assert files == {f"manifest-{name}" for name in MANIFESTS} | {f"message-{name}" for name in MESSAGES}
    assert DIGESTS.keys() - {"pages"} == MANIFESTS.keys()


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_of_then_says_the_same_now(name: str) -> None:
    content = (WIRE / f"manifest-{name}.json").read_bytes()

    assert decode_manifest(content) == MANIFESTS[name]
    digest = content_digest(content)
    assert (digest, job_id(digest)) == (DIGESTS[name]["content"], DIGESTS[name]["job"])


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_of_now_is_the_one_of_then(name: str) -> None:
    """To the byte, so that a push of the same thing is the same job, and no device refuses it."""
    manifest = MANIFESTS[name]

    assert encode_manifest(manifest) == (WIRE / f"manifest-{name}.json").read_bytes()
    assert contract_digest(manifest.inputs) == DIGESTS[name]["contract"]


def test_what_a_manifest_leaves_out_has_the_defaults_of_then() -> None:
    assert decode_manifest((WIRE / "manifest-sparse.json").read_bytes()) == MANIFESTS["minimal"]


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_step_and_option_is_known(name: str) -> None:
    check_inputs(decode_manifest((WIRE / f"manifest-{name}.json").read_bytes()).inputs)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_of_then_says_the_same_now(name: str) -> None:
    message = MESSAGES[name]

    assert decode((WIRE / f"message-{name}.json").read_bytes(), type(message)) == message


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_of_now_has_every_field_of_then(name: str) -> None:
    """With the same value; what is new is ignored by those who do not know it."""
    then, now = json.loads((WIRE / f"message-{name}.json").read_bytes()), json.loads(encode(MESSAGES[name]))

    assert {key: now.get(key) for key in then} == then


@pytest.mark.parametrize(("name", "kind"), ENVELOPES)
def test_a_signature_of_then_is_good(name: str, kind: str) -> None:
    envelope = unseal((WIRE / f"envelope-{name}.json").read_bytes(), kind)

    assert verify(envelope, read_keyring(WIRE), 1) == ["operator"]
    if name == "manifest":
        assert decode_manifest(envelope.content()) == MANIFESTS["sent"]
    else:
        assert decode(envelope.content(), type(MESSAGES["rollback"])) == MESSAGES["rollback"]


@pytest.mark.parametrize(("name", "kind"), ENVELOPES)
def test_a_signature_of_now_is_the_one_of_then(tmp_path: Path, name: str, kind: str) -> None:
    """Ed25519 is deterministic, so a device of then accepts it."""
    key = Ed25519PrivateKey.from_private_bytes(KEY_SEED)
    (tmp_path / "operator.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    sealed = (WIRE / f"envelope-{name}.json").read_bytes()

    assert enclose(unseal(sealed, kind).content(), kind, str(tmp_path / "operator.key")) == sealed


def test_a_blob_is_cut_as_then(tmp_path: Path) -> None:
    (tmp_path / "blob.onnx").write_bytes(DATA)
    blob = decode_manifest((WIRE / "manifest-minimal.json").read_bytes()).blob
    plan, pages = BlobPlan(blob.size), [bytes.fromhex(page) for page in DIGESTS["pages"]]

    assert read_blob(tmp_path / "blob.onnx") == blob == BLOB
    assert pages == PAGES
    digests = check_page(plan, 0, pages[0], blob.pages[0])
    for index in range(plan.chunks):
        check_chunk(plan, index, DATA[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES], digests)


@pytest.mark.parametrize("namespace", TOPICS)
def test_topics_are_those_of_then(namespace: str) -> None:
    topics, said, digest = Topics(namespace), TOPICS[namespace], BLOB.sha256
    device, group = Scope("d", "pi-01"), Scope("g", "lab")
    meanings = {
        "chunk": ChunkTopic(digest, 77),
        "page": PageTopic(digest, 1),
        "want_device": WantTopic(device, "har"),
        "want_group": WantTopic(group, "har"),
        "command_device": CommandTopic(device, "c-0001"),
        "command_group": CommandTopic(group, "c-0001"),
        "status": DeviceTopic("pi-01", "status"),
        "info": DeviceTopic("pi-01", "info"),
        "need": DeviceTopic("pi-01", "need"),
        "job": DeviceTopic("pi-01", "job", "0123456789abcdef"),
        "done": DeviceTopic("pi-01", "done", "c-0001"),
        "tele": DeviceTopic("pi-01", "tele", "health"),
    }

    assert {name: topics.parse(said[name]) for name in meanings} == meanings
    assert topics.chunk(digest, 77) == said["chunk"]
    assert topics.page(digest, 1) == said["page"]
    assert (topics.want(device, "har"), topics.want(group, "har")) == (said["want_device"], said["want_group"])
    assert topics.command(device, "c-0001") == said["command_device"]
    assert topics.command(group, "c-0001") == said["command_group"]
    assert [topics.device("pi-01", kind) for kind in ("status", "info", "need")] == [
        said[kind] for kind in ("status", "info", "need")
    ]
    assert topics.device("pi-01", "job", "0123456789abcdef") == said["job"]
    assert topics.device("pi-01", "done", "c-0001") == said["done"]
    assert topics.device("pi-01", "tele", "health") == said["tele"]


@pytest.mark.parametrize("namespace", TOPICS)
def test_filters_are_those_of_then(namespace: str) -> None:
    """A broker's access list names them."""
    topics, said, digest = Topics(namespace), TOPICS[namespace], BLOB.sha256

    assert topics.chunk_group(digest, 2) == said["chunk_group"]
    assert topics.pages(digest) == said["pages"]
    assert topics.blobs() == said["blobs"]
    assert list(topics.orders(Scope("g", "lab"))) == said["orders"]
    assert [topics.devices("status"), topics.devices("job")] == [said["every_status"], said["every_job"]]
