"""What came after version 0.1.0 is in the bytes only where it is used, and is known by name."""

import json
from typing import Any

import msgspec
import pytest
from support.documents import MANIFESTS, SENT
from support.upgrades import FIXTURES

from edge_agent.errors import WireError
from edge_agent.jobs.task import Task, encode_task
from edge_agent.wire.detection_head import Head
from edge_agent.wire.digests import content_digest
from edge_agent.wire.features import Feature, as_encoded, features_used
from edge_agent.wire.manifest import (
    FEATURES,
    Gates,
    InputContract,
    Manifest,
    MinGain,
    Output,
    Recipe,
    State,
    Window,
    decode_manifest,
    encode_manifest,
)

THEN: dict[str, dict[str, Any]] = {
    name: json.loads((FIXTURES / "v0_1_0" / "wire" / f"manifest-{name}.json").read_bytes()) for name in MANIFESTS
}
LETTERBOX = {"op": "letterbox", "size": [320, 320]}
TWO = [Output(kind="classes", name="class"), Output(name="speed", kind="regression")]
SHARING = Output(kind="detection_head", boxes="size", scores="heat", head=Head(offset="speed"))
NEW = {
    "outputs": msgspec.structs.replace(SENT, output=Output(), outputs=TWO),
    "min_class_recall": msgspec.structs.replace(SENT, gates=Gates(min_class_recall=0.0)),
    "detection_head": msgspec.structs.replace(SENT, output=Output(kind="detection_head")),
    "head": msgspec.structs.replace(SENT, output=Output(head=Head(layout="yolov8"))),
    "letterbox": msgspec.structs.replace(SENT, inputs=[InputContract(steps=[LETTERBOX])]),
    "min_gain": msgspec.structs.replace(SENT, gates=Gates(min_gain=MinGain(time=0.1))),
    "latency_margin": msgspec.structs.replace(SENT, gates=Gates(latency_margin=0.0)),
    "max_memory_ratio": msgspec.structs.replace(SENT, gates=Gates(max_memory_ratio=0.8)),
    "prefer": msgspec.structs.replace(SENT, recipe=Recipe(prefer="size")),
    "accept": msgspec.structs.replace(SENT, recipe=Recipe(accept=("int8", "fp16"))),
}
PLAIN = {
    "detection_head": msgspec.structs.replace(SENT, output=Output(kind="detection")),
    "head": msgspec.structs.replace(SENT, output=Output()),
    "letterbox": msgspec.structs.replace(SENT, inputs=[InputContract(steps=[])]),
}
"""What the same manifest says without what is new, where that is not what :data:`SENT` says."""


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Has an old field with a new word, and two new fields, one of which may be unset."""

    kind: str = "old"
    limit: float | None = None
    head: int | msgspec.UnsetType = msgspec.UNSET


class Outer(msgspec.Struct, frozen=True):
    """Has a new field that those who do not know it pass over."""

    many: list[Inner] = []
    note: str = ""
    sizes: tuple[int, ...] = (1,)


WORD = Feature("new", 'kind = "new"', Inner, "kind", lambda kind: bool(kind == "new"))
LIMIT = Feature("limit", "limit", Inner, "limit")
HEAD = Feature("head", "head", Inner, "head")
NOTE = Feature("note", "note", Outer, "note")
LIST = (WORD, LIMIT, HEAD, NOTE)


@pytest.mark.parametrize(
    ("value", "bytes_", "used"),
    [
        (Outer(), '{"many":[],"sizes":[1]}', []),
        (Outer([Inner()], note="x"), '{"many":[{"kind":"old"}],"note":"x","sizes":[1]}', [NOTE]),
        (Outer([Inner(), Inner("new")]), '{"many":[{"kind":"old"},{"kind":"new"}],"sizes":[1]}', [WORD]),
        (
            Outer([Inner(limit=0.0), Inner(limit=2.0, head=1)]),
            '{"many":[{"kind":"old","limit":0.0},{"head":1,"kind":"old","limit":2.0}],"sizes":[1]}',
            [LIMIT, HEAD],
        ),
    ],
)
def test_a_new_field_is_encoded_only_where_it_is_used(value: Outer, bytes_: str, used: list[Feature]) -> None:
    assert msgspec.json.encode(as_encoded(value, LIST), order="sorted").decode() == bytes_
    assert features_used(value, LIST) == used


def test_who_forbids_unknown_fields_refuses_and_who_does_not_passes_over() -> None:
    assert [feature.passed_over for feature in LIST] == [False, False, False, True]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_of_then_needs_nothing_new(name: str) -> None:
    assert features_used(MANIFESTS[name], FEATURES) == []


@pytest.mark.parametrize("name", NEW)
def test_what_is_new_is_one_key_more_or_another_value_and_another_job(name: str) -> None:
    manifest, plain = NEW[name], PLAIN.get(name, msgspec.structs.replace(SENT, output=NEW[name].output))
    (feature,) = features_used(manifest, FEATURES)
    said, before = (json.loads(encode_manifest(one)) for one in (manifest, plain))
    new = json.loads(msgspec.json.encode(getattr(_owner(manifest, feature), feature.field)))

    assert feature.name == name
    assert _table(said, feature).pop(feature.field) == new
    old = _table(before, feature).pop(feature.field, None)
    assert (old is None) == (feature.word is None)
    assert said == before
    assert features_used(plain, FEATURES) == []
    assert decode_manifest(encode_manifest(manifest)) == manifest
    assert content_digest(encode_manifest(manifest)) != content_digest(encode_manifest(plain))


def test_every_feature_has_a_name_of_its_own() -> None:
    assert len({feature.name for feature in FEATURES}) == len(FEATURES) == len(NEW)


@pytest.mark.parametrize("kind", [Manifest, InputContract, Window, Output, Recipe, Gates, State])
def test_every_field_is_of_then_or_a_feature(kind: type[msgspec.Struct]) -> None:
    """So a new one is left out of the bytes where it is not used, and asked only of devices that know it."""
    stateful = THEN["stateful"]
    examples = {
        Manifest: stateful, InputContract: stateful["inputs"][0], Window: stateful["inputs"][0]["window"],
        Output: stateful["output"], Recipe: stateful["recipe"], Gates: stateful["gates"], State: stateful["state"][0],
    }  # fmt: skip
    new = {feature.field for feature in FEATURES if feature.struct is kind and feature.word is None}

    assert {field.encode_name for field in msgspec.structs.fields(kind)} == examples[kind].keys() | new, (
        "add a line to FEATURES of wire/manifest.py"
    )


def test_a_workers_task_has_it_in_the_same_way() -> None:
    task = Task(job="j", name="har", version=1, format="onnx", model="model.onnx", inputs=SENT.inputs)
    recalled = msgspec.structs.replace(task, gates=Gates(min_class_recall=0.5), outputs=TWO)

    assert json.loads(encode_task(task))["gates"].keys() == THEN["sent"]["gates"].keys()
    assert msgspec.json.decode(encode_task(task), type=Task) == task
    assert msgspec.json.decode(encode_task(recalled), type=Task) == recalled


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output": Output(kind="raw"), "outputs": TWO}, "[output] is for one output, [[outputs]] for several"),
        ({"outputs": [Output(kind="raw")]}, "[[outputs]] 1: name is missing"),
        ({"outputs": [*TWO, TWO[0]]}, "[[outputs]] 3: output 'class' is named in two of them"),
        ({"outputs": [*TWO, SHARING]}, "[[outputs]] 3: output 'speed' is named in two of them"),
    ],
)
def test_outputs_that_contradict_each_other_are_no_manifest(changes: dict[str, Any], words: str) -> None:
    plain = json.loads(encode_manifest(msgspec.structs.replace(SENT, output=Output())))
    content = msgspec.json.encode(plain | changes)

    with pytest.raises(WireError) as caught:
        decode_manifest(content)

    assert caught.value.code == "malformed"
    assert words in caught.value.message


def _owner(manifest: Manifest, feature: Feature) -> msgspec.Struct:
    owners: list[msgspec.Struct] = [
        manifest, manifest.gates, manifest.recipe, manifest.output, manifest.inputs[0]
    ]  # fmt: skip
    return next(one for one in owners if isinstance(one, feature.struct))


def _table(said: dict[str, Any], feature: Feature) -> dict[str, Any]:
    """The part of an encoded manifest that the feature's field is in."""
    tables: dict[type[msgspec.Struct], dict[str, Any]] = {
        Manifest: said, Gates: said["gates"], Output: said["output"], InputContract: said["inputs"][0],
        Recipe: said["recipe"],
    }  # fmt: skip
    return tables[feature.struct]


def test_what_may_be_accepted_has_one_order_on_the_wire() -> None:
    one, other = (
        encode_manifest(msgspec.structs.replace(SENT, recipe=Recipe(accept=accept)))
        for accept in (("int8", "fp16"), ("fp16", "int8"))
    )

    assert one == other
    turned = one.replace(b'["int8","fp16"]', b'["fp16","int8"]')
    assert turned != one
    assert decode_manifest(turned) == decode_manifest(one)


def test_what_may_be_accepted_is_named_once() -> None:
    sent = encode_manifest(msgspec.structs.replace(SENT, recipe=Recipe(accept=("int8", "fp16"))))

    with pytest.raises(WireError) as caught:
        decode_manifest(sent.replace(b'["int8","fp16"]', b'["fp16","fp16"]'))

    assert caught.value.code == "malformed"
    assert "lists a precision twice" in caught.value.message
