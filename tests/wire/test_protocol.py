"""The protocol as values: what is encoded decodes to itself, and no bytes do anything but give a message or a code."""

import hashlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import TransferError, WireError
from edge_agent.wire import chunks, envelope, messages
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.manifest import (
    Blob,
    Gates,
    InputContract,
    Manifest,
    Output,
    Recipe,
    State,
    Window,
    decode_manifest,
    encode_manifest,
)
from edge_agent.wire.topics import ChunkTopic, CommandTopic, DeviceTopic, PageTopic, Scope, Topic, Topics, WantTopic

names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
text = st.text(max_size=40)
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
scopes = st.builds(Scope, st.sampled_from(["d", "g"]), names)


@st.composite
def blobs(draw: st.DrawFn) -> Blob:
    size = draw(st.integers(1, 3 * chunks.PAGE_DIGESTS * chunks.CHUNK_BYTES))
    pages = chunks.BlobPlan(size).pages
    return Blob(draw(digests), size, draw(st.lists(digests, min_size=pages, max_size=pages)))


contracts = st.builds(
    InputContract,
    source=names,
    channels=st.lists(text, max_size=4),
    window=st.none() | st.builds(Window, st.integers(1, 10_000), st.integers(1, 10_000)),
    steps=st.lists(st.fixed_dictionaries({"op": text}), max_size=2),
)
manifests = st.builds(
    Manifest,
    namespace=st.just("ea/v1"),
    name=names,
    version=st.integers(1, 2**53 - 1),
    format=st.sampled_from(["onnx", "tflite"]),
    blob=blobs(),
    inputs=st.lists(contracts, max_size=2),
    output=st.builds(Output, kind=st.sampled_from(["classes", None])),
    recipe=st.builds(Recipe, method=st.sampled_from(["auto", "static"]), calibration_windows=st.integers(1, 1000)),
    gates=st.builds(
        Gates,
        min_agreement=st.floats(0, 1),
        max_latency_ratio=st.floats(0, 10),
        min_class_recall=st.none() | st.floats(0, 1),
    ),
    state=st.lists(st.builds(State, input=text, output=text), max_size=1),
    targets=st.lists(scopes.map(str), max_size=3),
    created=text,
    expires=text,
)
reports = st.builds(
    messages.JobReport,
    device=names,
    job=names,
    model=names,
    version=st.integers(1, 2**53 - 1),
    stage=text,
    status=text,
    progress=finite,
    seconds=st.dictionaries(text, finite, max_size=3),
    results=st.dictionaries(text, st.none() | finite | text, max_size=3),
)
needs = st.builds(
    messages.Need,
    device=names,
    sha256=digests,
    chunks=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=3),
)
topics_in_use = st.one_of(
    st.builds(ChunkTopic, digests, st.integers(0, 9_999_999)),
    st.builds(PageTopic, digests, st.integers(0, 999)),
    st.builds(WantTopic, scopes, names),
    st.builds(CommandTopic, scopes, names),
    st.builds(DeviceTopic, names, st.sampled_from(["status", "info", "need", "event"])),
    st.builds(DeviceTopic, names, st.sampled_from(["job", "done", "model", "tele"]), names),
    st.builds(DeviceTopic, names, st.just("tele"), names.map(lambda name: f"model/{name}")),
)


def code_of(decoder: Callable[[bytes], object], data: bytes) -> str | None:
    try:
        decoder(data)
    except WireError as error:
        return error.code
    return None


def topic_text(topics: Topics, topic: Topic) -> str:
    match topic:
        case ChunkTopic(sha256, index):
            return topics.chunk(sha256, index)
        case PageTopic(sha256, page):
            return topics.page(sha256, page)
        case WantTopic(scope, model):
            return topics.want(scope, model)
        case CommandTopic(scope, command):
            return topics.command(scope, command)
        case DeviceTopic(device, kind, leaf):
            return topics.device(device, kind, leaf)


@given(manifests)
def test_manifest_round_trip(manifest: Manifest) -> None:
    assert decode_manifest(encode_manifest(manifest)) == manifest


@given(st.one_of(reports, needs))
def test_message_round_trip(message: messages.Message) -> None:
    assert messages.decode(messages.encode(message), type(message)) == message


@given(topics_in_use, st.sampled_from(["ea/v1", "plant"]))
def test_topic_round_trip_within_brokers_limits(topic: Topic, namespace: str) -> None:
    written = topic_text(Topics(namespace), topic)

    assert Topics(namespace).parse(written) == topic
    assert written.count("/") <= 6


@given(st.binary(max_size=300), manifests)
def test_envelope_round_trip(content: bytes, manifest: Manifest) -> None:
    for payload in (content, encode_manifest(manifest)):
        sealed = envelope.seal(payload, envelope.MANIFEST_TYPE, [envelope.Signature("c2ln", "key")])

        opened = envelope.unseal(sealed, envelope.MANIFEST_TYPE)

        assert opened.content() == payload
        assert opened.signatures[0].raw() == b"sig"


def test_signed_bytes_are_dsse_v1() -> None:
    """The example of the DSSE specification."""
    sealed = envelope.Envelope("aGVsbG8gd29ybGQ=", "http://example.com/HelloWorld")

    assert sealed.signed_bytes() == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


DECODERS: list[Callable[[bytes], object]] = [
    decode_manifest,
    content_digest,
    lambda data: envelope.unseal(data, envelope.MANIFEST_TYPE).content(),
    lambda data: messages.decode(data, messages.JobReport),
    lambda data: messages.decode(data, messages.DeviceStatus),
    lambda data: messages.decode(data, messages.DeviceInfo),
    lambda data: messages.decode(data, messages.Command),
    lambda data: messages.decode(data, messages.Need),
    lambda data: Topics().parse(data.decode(errors="replace")),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("decoder", DECODERS)
@given(st.one_of(st.binary(max_size=200), json_values.map(msgspec.json.encode)))
def test_any_bytes_give_a_message_or_a_coded_error(decoder: Callable[[bytes], object], data: bytes) -> None:
    assert code_of(decoder, data) in (None, "malformed", "too_large", "protocol_version")


@given(manifests, st.data())
def test_a_damaged_manifest_gives_a_manifest_or_a_coded_error(manifest: Manifest, data: st.DataObject) -> None:
    fields = msgspec.json.decode(encode_manifest(manifest))
    key = data.draw(st.sampled_from(sorted(fields)))
    fields[key] = data.draw(json_values)

    assert code_of(decode_manifest, msgspec.json.encode(fields)) in (None, "malformed", "protocol_version")


@pytest.mark.parametrize("bomb", [b"[" * 60_000, b'{"a":' * 10_000, b'"' + b"\\u0041" * 10_000])
def test_nesting_and_size_bombs_are_coded_errors(bomb: bytes) -> None:
    for decoder in DECODERS:
        with pytest.raises(WireError):
            decoder(bomb)


def test_a_newer_protocol_is_refused_by_code() -> None:
    with pytest.raises(WireError, match="protocol_version"):
        messages.decode(b'{"v": 2, "device": "a", "online": true}', messages.DeviceStatus)


def test_unknown_fields_are_ignored_but_an_unknown_gate_is_not() -> None:
    """A newer host may say more; a gate that this device does not know must not be passed in silence."""
    status = messages.decode(b'{"device": "a", "online": true, "mood": "fine"}', messages.DeviceStatus)

    assert status.online
    with pytest.raises(WireError, match="min_beauty"):
        decode_manifest(_manifest_with(gates={"min_beauty": 1}))


@given(manifests, text, text, st.lists(text, max_size=2))
def test_job_id_knows_content_only(manifest: Manifest, created: str, expires: str, targets: list[str]) -> None:
    again = msgspec.structs.replace(manifest, created=created, expires=expires, targets=targets)
    other = msgspec.structs.replace(manifest, version=manifest.version % 1000 + 1001)

    digest = content_digest(encode_manifest(manifest))

    assert content_digest(encode_manifest(again)) == digest
    assert content_digest(encode_manifest(other)) != digest
    assert digest.startswith(job_id(digest))
    assert len(job_id(digest)) == 16


def test_job_id_covers_fields_that_this_side_does_not_know() -> None:
    assert content_digest(_manifest_with(future="x")) != content_digest(_manifest_with(future="y"))


@given(st.integers(1, 40 * chunks.CHUNK_BYTES))
def test_chunks_cover_a_blob_exactly(size: int) -> None:
    plan = chunks.BlobPlan(size)

    assert sum(plan.chunk_size(index) for index in range(plan.chunks)) == size
    assert [index for group in range(plan.groups) for index in plan.group_range(group)] == list(range(plan.chunks))
    assert [index for page in range(plan.pages) for index in plan.page_range(page)] == list(range(plan.chunks))


def test_pages_vouch_for_chunks() -> None:
    data = b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(8000))
    plan = chunks.BlobPlan(len(data))
    cut = [data[i : i + chunks.CHUNK_BYTES] for i in range(0, len(data), chunks.CHUNK_BYTES)]

    (page,) = chunks.digest_pages(iter(cut))
    found = chunks.check_page(plan, 0, page, hashlib.sha256(page).hexdigest())

    for index, chunk in enumerate(cut):
        chunks.check_chunk(plan, index, chunk, found)
    for wrong in (cut[0], cut[1][:-1], cut[1] + b"x", b""):
        with pytest.raises(TransferError, match="hash_mismatch"):
            chunks.check_chunk(plan, 1, wrong, found)
    with pytest.raises(TransferError, match="hash_mismatch"):
        chunks.check_page(plan, 0, page[:-1], hashlib.sha256(page).hexdigest())
    with pytest.raises(TransferError, match="size_mismatch"):
        chunks.check_page(plan, 0, page + page, hashlib.sha256(page + page).hexdigest())


@pytest.mark.parametrize(
    "topic",
    [
        "ea/v1", "ea/v1/", "ea/v2/d/pi/status", "ea/v1/d/Pi/status", "ea/v1/d/pi/status/x", "ea/v1/d/pi/want",
        "ea/v1/d/pi/want/../x", "ea/v1/b/abc/0/0", f"ea/v1/b/{'0' * 64}/1/0", f"ea/v1/b/{'0' * 64}/0/00",
        f"ea/v1/b/{'0' * 64}/h/-1", "ea/v1/g/lab/job/1", "ea/v1/d/+/want/x", f"ea/v1/d/{'a' * 64}/status",
    ],
)  # fmt: skip
def test_a_topic_outside_the_protocol_is_refused(topic: str) -> None:
    with pytest.raises(WireError, match="malformed"):
        Topics().parse(topic)


def test_a_blob_whose_pages_do_not_fit_its_size_is_refused() -> None:
    with pytest.raises(WireError, match="digest pages"):
        Blob("0" * 64, 10, [])
    with pytest.raises(WireError):
        Blob("0" * 64, -1, ["0" * 64])


def _manifest_with(**changes: object) -> bytes:
    blob = {"sha256": "0" * 64, "size": 10, "pages": ["1" * 64]}
    base = {"namespace": "ea/v1", "name": "har", "version": 1, "format": "onnx", "blob": blob}
    return msgspec.json.encode({**base, **changes})
