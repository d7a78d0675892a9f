"""The rules for wants, as a table: what is wanted, what is known, what is done."""

import base64
from typing import Any, Literal

import msgspec
import pytest

from edge_agent.daemon.admission.rules import (
    Accept,
    Decision,
    Known,
    Outranked,
    Refuse,
    Standing,
    Want,
    check_limits,
    decide,
    read_want,
)
from edge_agent.errors import EdgeAgentError, TrustError
from edge_agent.state.store import ModelRecord
from edge_agent.wire.digests import content_digest
from edge_agent.wire.manifest import Blob, InputContract, Manifest, Window, encode_manifest
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Scope, WantTopic

NOW = 1_800_000_000.0
DEVICE, GROUP = Scope("d", "pi-01"), Scope("g", "lab")
OVER = NOW - 1.0


def want(
    version: int = 3,
    scope: Scope = DEVICE,
    *,
    blob: str = "0",
    expires: str = "2099-01-01T00:00:00Z",
    created: float = 0.0,
) -> Want:
    manifest = Manifest(
        "ea/v1", "har", version, "onnx", Blob(blob * 64, 10, ["1" * 64]), targets=[str(scope)],
        created=rfc3339(created) if created else "", expires=expires,
    )  # fmt: skip
    return read_want(WantTopic(scope, "har"), encode_manifest(manifest), "ea/v1")


def record(of: Want, scope: str = "d/pi-01", **fields: Any) -> ModelRecord:
    known: dict[str, Any] = {"version": of.manifest.version, "digest": of.digest, "job": of.job, "status": "succeeded"}
    return ModelRecord(scope=scope, **{**known, **fields})


FORGOTTEN = ModelRecord(version=0, digest="", job="", scope="", forgotten=NOW)


CASES: list[tuple[str, Want, ModelRecord | None, set[str], dict[Scope, int | Standing], str]] = [
    ("a first model", want(), None, set(), {}, "accept"),
    ("a higher version", want(4), record(want(3)), set(), {}, "accept"),
    ("the same again", want(3), record(want(3)), set(), {DEVICE: 3}, "known"),
    ("the same again, long expired", want(3, expires="2020-01-01T00:00:00Z"), record(want(3)), set(), {}, "known"),
    ("the same again, whose job was lost before it ended", want(3), record(want(3), status=""), set(), {}, "accept"),
    ("the same again while its job is under way", want(3), record(want(3), status=""), {want(3).job}, {}, "known"),
    ("one of a forgotten name, made before", want(3, created=NOW - 1), FORGOTTEN, set(), {}, "downgrade"),
    ("one of a forgotten name, made since", want(1, created=NOW), FORGOTTEN, set(), {}, "accept"),
    ("the same for a group", want(3, GROUP), record(want(3)), set(), {DEVICE: 3}, "known"),
    ("an older one whose job is here", want(2), record(want(3)), {want(2).job}, {}, "known"),
    ("an older one beside a newer want", want(2), record(want(3)), set(), {GROUP: 3}, "ignore"),
    ("a group's older one beside the device's", want(2, GROUP), record(want(3)), set(), {DEVICE: 3}, "ignore"),
    ("an older one alone", want(2), record(want(3)), set(), {}, "downgrade"),
    ("an older one beside one as old", want(2), record(want(3)), set(), {GROUP: 2}, "downgrade"),
    ("an older one in the newer one's place", want(2), record(want(3)), set(), {DEVICE: 3}, "downgrade"),
    ("a group's older one in its newer one's place", want(2, GROUP), record(want(3)), set(), {GROUP: 3}, "downgrade"),
    ("an older one in its place, and a newer one", want(2), record(want(3)), set(), {DEVICE: 3, GROUP: 4}, "ignore"),
    ("other content, same version", want(3, blob="2"), record(want(3)), set(), {DEVICE: 3}, "version_conflict"),
    ("a group's beside the device's own", want(3, GROUP, blob="2"), record(want(3)), set(), {DEVICE: 3}, "ignore"),
    ("expired", want(4, expires="2020-01-01T00:00:00Z"), record(want(3)), set(), {}, "expired"),
    ("an expiry that is no time", want(4, expires="soon"), record(want(3)), set(), {}, "malformed"),
    ("not the newest of those that stand", want(4), record(want(3)), set(), {GROUP: 5}, "ignore"),
    ("in the place of one that never began", want(4), record(want(3)), set(), {DEVICE: 5}, "accept"),
    ("older than one that is over", want(2), record(want(3)), set(), {GROUP: Standing(3, OVER)}, "downgrade"),
    ("older than one that is over, never begun", want(4), record(want(3)), set(), {GROUP: Standing(5, OVER)}, "accept"),
    (
        "a group's, the device's own is over",
        want(3, GROUP, blob="2"),
        record(want(3)),
        set(),
        {DEVICE: Standing(3, OVER)},
        "version_conflict",
    ),
    ("a group's, the device's own is gone", want(3, GROUP, blob="2"), record(want(3)), set(), {}, "version_conflict"),
]


def word(decision: Decision) -> str:
    match decision:
        case Accept():
            return "accept"
        case Known():
            return "known"
        case Outranked():
            return "ignore"
        case Refuse(error):
            return error.code


@pytest.mark.parametrize(("what", "asked", "known", "jobs", "wanted", "expected"), CASES, ids=[c[0] for c in CASES])
def test_wants(
    what: str,
    asked: Want,
    known: ModelRecord | None,
    jobs: set[str],
    wanted: dict[Scope, int | Standing],
    expected: str,
) -> None:
    standing = {scope: one if isinstance(one, Standing) else Standing(one) for scope, one in wanted.items()}

    assert word(decide(asked, known, jobs, standing, NOW)) == expected


def test_first_to_a_device_then_to_its_group_is_one_job() -> None:
    assert want(3, DEVICE).job == want(3, GROUP).job


@pytest.mark.parametrize(
    ("topic", "namespace"),
    [
        (WantTopic(DEVICE, "kws"), "ea/v1"),
        (WantTopic(GROUP, "har"), "ea/v1"),
        (WantTopic(Scope("d", "pi-02"), "har"), "ea/v1"),
        (WantTopic(DEVICE, "har"), "other"),
    ],
)
def test_a_manifest_found_where_it_does_not_belong_is_refused(topic: WantTopic, namespace: str) -> None:
    """Whoever can write to the broker may copy a signed manifest to another device's topic."""
    with pytest.raises(TrustError, match="wrong_target"):
        read_want(topic, want().content, namespace)


@pytest.mark.parametrize(
    ("size", "free", "formats", "code"),
    [
        (1000, 1 << 40, ("onnx",), ""),
        (1001, 1 << 40, ("onnx",), "model_too_large"),
        (1000, 1000, ("onnx",), "no_space"),
        (1000, 1 << 40, ("tflite",), "format_unsupported"),
    ],
)
def test_limits_are_checked_before_a_byte_is_fetched(size: int, free: int, formats: tuple[str, ...], code: str) -> None:
    manifest = msgspec.structs.replace(want().manifest, blob=Blob("0" * 64, size, ["1" * 64]))
    found = ""

    try:
        check_limits(manifest, 1000, free, formats)
    except EdgeAgentError as error:
        found = error.code

    assert found == code


@pytest.mark.parametrize(
    ("labelled", "free", "code"),
    [
        (1000, (64 << 20) + 7000, ""),
        (1001, 1 << 40, "model_too_large"),
        (1000, (64 << 20) + 6999, "no_space"),
    ],
)
def test_a_labelled_set_counts_before_a_byte_is_fetched(labelled: int, free: int, code: str) -> None:
    model, beside = Blob("0" * 64, 1000, ["1" * 64]), Blob("2" * 64, labelled, ["3" * 64])
    manifest = msgspec.structs.replace(want().manifest, blob=model, eval=beside)
    found = ""

    try:
        check_limits(manifest, 1000, free, ("onnx",))
    except EdgeAgentError as error:
        found = error.code

    assert found == code


@pytest.mark.parametrize(
    ("model_format", "size", "copies"), [("onnx", 1 << 20, 7), ("onnx", (1 << 20) - 1, 5), ("tflite", 1 << 20, 5)]
)
def test_room_for_optimised_forms_is_asked_for_where_there_may_be_some(
    model_format: Literal["onnx", "tflite"], size: int, copies: int
) -> None:
    blob = Blob("0" * 64, size, ["1" * 64])
    manifest = msgspec.structs.replace(want().manifest, blob=blob, format=model_format)
    needed = copies * size + (64 << 20)

    check_limits(manifest, size, needed, ("onnx", "tflite"))
    with pytest.raises(EdgeAgentError, match="no_space"):
        check_limits(manifest, size, needed - 1, ("onnx", "tflite"))


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"op": "transpose", "axes": [1, 0]}, ""),
        ({"op": "wavelet"}, "recipe_unsupported"),
        ({"op": "scale", "factor": "two"}, "recipe_unsupported"),
        ({"op": "log_mel"}, "recipe_unsupported"),
        ({"op": "reshape", "shape": [7, 7]}, "shape_mismatch"),
    ],
)
def test_an_input_that_cannot_be_made_is_found_before_a_byte_is_fetched(step: dict[str, Any], code: str) -> None:
    contract = InputContract(source="imu", channels=["x"], window=Window(8, 8), steps=[step])
    manifest = msgspec.structs.replace(want().manifest, inputs=[InputContract(name="gain", constant=1.0), contract])
    found = ""

    try:
        check_limits(manifest, 1000, 1 << 40, ("onnx",))
    except EdgeAgentError as error:
        found = error.code

    assert found == code


def test_job_ids_do_not_depend_on_base64_or_key_order() -> None:
    content = want().content
    shuffled = msgspec.json.encode(dict(reversed(msgspec.json.decode(content).items())))

    assert content_digest(shuffled) == content_digest(base64.b64decode(base64.b64encode(content)))
