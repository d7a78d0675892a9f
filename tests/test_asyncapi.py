"""``docs/asyncapi.yaml`` is made from the code, and AsyncAPI's own parser finds nothing wrong with it.

``python tests/test_asyncapi.py`` writes it anew.
"""

from pathlib import Path

import msgspec
import pytest
from support.asyncapi_document import written
from support.asyncapi_parser import validated
from support.protocol import Heard, Protocol

from edge_agent.wire.channels import CHANNELS
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, seal
from edge_agent.wire.keys import KEYS_TYPE, KeyList
from edge_agent.wire.messages import Command, DeviceStatus, JobReport, Need, encode
from edge_agent.wire.telemetry import ModelSample

FILE = Path(__file__).parent.parent / "docs" / "asyncapi.yaml"


def test_it_is_that_of_the_code() -> None:
    assert FILE.read_text(encoding="utf-8") == written(), "run python tests/test_asyncapi.py"


def status(**more: object) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(DeviceStatus(device="pi-01", online=True)) | more)


FORGET = Command(namespace="ea/v1", id="some", action="forget", model="har", expires="2026-01-01T00:00:00Z")
SOUND = [
    ("d/pi-01/status", status()),
    ("d/pi-01/status", b""),
    ("d/pi-01/event", b""),
    ("d/pi-01/cmd/some", seal(encode(FORGET), COMMAND_TYPE)),
    ("g/all/cmd/keys-1", seal(encode(KeyList(namespace="ea/v1", version=1)), KEYS_TYPE)),
    ("d/pi-01/need", encode(Need(device="pi-01", sha256="0" * 64, chunks=[(0, 3)]))),
    ("b/" + "0" * 64 + "/h/0", b"\0" * 64),
    ("d/pi-01/tele/model/har", encode(ModelSample(device="pi-01", model="har"))),
]
UNSOUND = {
    "a topic that nobody knows": ("d/pi-01/mood", status(), "no channel"),
    "a stream that nobody knows": ("d/pi-01/tele/mood", status(), "no channel"),
    "a name that is none": ("d/Pi 01/status", status(), "must match"),
    "a field that is not documented": ("d/pi-01/status", status(mood="good"), "'mood' was unexpected"),
    "a field that is missing": ("d/pi-01/status", b"{}", "'device' is a required property"),
    "a value of another type": ("d/pi-01/status", status(online="yes"), "'yes' is not of type 'boolean'"),
    "no JSON": ("d/pi-01/status", b"{", "Expecting property name"),
    "a result that is not documented": (
        "d/pi-01/job/" + "0" * 16,
        encode(JobReport(device="pi-01", job="0" * 16, model="har", version=1, stage="", status="", results={"x": 1})),
        "'x' was unexpected",
    ),
    "another pair": ("d/pi-01/need", encode(Need(device="pi-01", sha256="")).replace(b"[]", b"[[1]]", 1), "too short"),
    "an order inside that is none": ("d/pi-01/want/har", seal(b"{}", MANIFEST_TYPE), "is a required property"),
    "an order of another kind": ("d/pi-01/want/har", seal(encode(FORGET), COMMAND_TYPE), "was expected"),
    "too many bytes": ("b/" + "0" * 64 + "/0/0", b"x" * 200_000, "200000 bytes"),
}


@pytest.mark.parametrize(("topic", "payload"), SOUND, ids=[topic[:20] for topic, _ in SOUND])
def test_a_message_is_held_against_it(topic: str, payload: bytes) -> None:
    assert Protocol("t/1").faults(f"t/1/{topic}", payload) == []


@pytest.mark.parametrize(("topic", "payload", "fault"), UNSOUND.values(), ids=UNSOUND)
def test_what_is_not_documented_is_found(topic: str, payload: bytes, fault: str) -> None:
    found = Protocol("t/1").faults(f"t/1/{topic}", payload)

    assert [one for one in found if fault in one], found


def test_qos_and_retain_are_found_to_be_other_ones() -> None:
    heard = Heard("ea/v1/d/pi-01/status", status(), qos=0, retained=False)

    assert Protocol("ea/v1").faults_of(heard) == ["QoS 0, not retained"]


@pytest.mark.external
def test_the_parser_of_asyncapi_finds_nothing_and_would_find_something(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        written().replace("#/channels/health", "#/channels/heath").replace("type: integer", "type: int", 1)
    )

    good, bad = validated(FILE, broken)

    assert good == {"version": "3.1.0", "channels": len(CHANNELS), "found": []}
    assert {"invalid-ref", "asyncapi-document-resolved"} <= {finding["code"] for finding in bad["found"]}, bad["found"][
        :3
    ]


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
