"""What a hostile device may say, and what is left of it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fleets import HOSTILE, JOB, Voice

from edge_agent.wire.messages import DeviceInfo, JobReport
from edge_agent.wire.telemetry import Event, Health, ModelState
from edge_agent.wire.topics import Topics
from host_tools.fleet.reading import Said, Unreadable, read

TOPICS = Topics("t/fleet")
PI = Voice("pi-1", TOPICS)
EVERY = [PI.status(), PI.info(), PI.model(), PI.report(), PI.health(), PI.sample(), PI.event()]


@pytest.mark.parametrize(("topic", "payload"), EVERY, ids=[topic.split("/", 4)[4] for topic, _ in EVERY])
def test_each_message_is_read_as_what_its_topic_says(topic: str, payload: bytes) -> None:
    said = read(TOPICS, topic, payload)

    assert isinstance(said, Said)
    assert said.device == "pi-1"
    assert said.message is not None
    assert said.message.seq > 0


@pytest.mark.parametrize(("topic", "payload"), EVERY, ids=[topic.split("/", 4)[4] for topic, _ in EVERY])
def test_none_speaks_for_another_device(topic: str, payload: bytes) -> None:
    other = topic.replace("pi-1", "pi-2")

    assert read(TOPICS, other, payload) == Unreadable("pi-2", "foreign_name")


def test_none_speaks_for_another_model_or_job() -> None:
    for topic, payload in (PI.model(), PI.sample()):
        assert read(TOPICS, topic.replace("/har", "/other"), payload) == Unreadable("pi-1", "foreign_name")
    topic, payload = PI.report()
    assert read(TOPICS, topic.replace(JOB, "other"), payload) == Unreadable("pi-1", "foreign_name")


def test_what_was_cleared_has_no_message() -> None:
    topic, _ = PI.model()

    assert read(TOPICS, topic, b"") == Said("pi-1", "model", "har", None)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[" * 50_000, "malformed"),
        (b'{"device":"pi-1","a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "malformed"),
        (b'{"device":"pi-1","x":"' + b"x" * 70_000 + b'"}', "too_large"),
        (b'{"device":"pi-1","v":2}', "protocol_version"),
        (b'{"device":"pi-1","uptime_s":"long"}', "malformed"),
        (b'{"device":"pi-1","reconnects":' + b"9" * 300 + b"}", "malformed"),
        (b'{"device":"pi-1","reconnects":9223372036854775808}', "malformed"),
        (b'{"device":"pi-1","uptime_s":1e999}', "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"null", "malformed"),
    ],
    ids=range(10),
)
def test_what_is_no_message_has_a_reason(payload: bytes, reason: str) -> None:
    assert read(TOPICS, TOPICS.device("pi-1", "tele", "health"), payload) == Unreadable("pi-1", reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "topic",
    ["t/fleet/d/pi-1/want/har", "t/fleet/b/x", "t/fleet/d/PI/status", "other/d/pi-1/status", "t/fleet/d/a/need"],
)
def test_other_topics_are_nothing(topic: str) -> None:
    assert read(TOPICS, topic, b"{}") == Unreadable("", "topic")


def test_strings_are_one_short_line_wherever_they_are() -> None:
    said = [
        PI.model(message=HOSTILE, runtime=HOSTILE * 100),
        PI.info(board=HOSTILE, sources={HOSTILE: {"a": [HOSTILE]}}),
        PI.report(results={HOSTILE: [[HOSTILE]]}, message=HOSTILE),
        PI.event(HOSTILE, message=HOSTILE),
    ]

    for topic, payload in said:
        found = read(TOPICS, topic, payload, 50)
        assert isinstance(found, Said)
        for text in strings(json.loads(json.dumps(_plain(found.message)))):
            assert text.isprintable()
            assert len(text) <= 50


@pytest.mark.parametrize("name", ["x, body", "<b>", "../orders/new", "A", "", "a" * 64, "a\n"])
def test_what_nothing_may_be_called_is_left_out(name: str) -> None:
    bad, good = ({"model": one, "version": 1, "job": "j", "verdict": "accepted"} for one in (name, "har"))
    info = read(TOPICS, *PI.info(active=[bad, good]))
    event = read(TOPICS, *PI.event("rejected", model=name, job=name, version=3))

    assert isinstance(info, Said)
    assert isinstance(info.message, DeviceInfo)
    assert [one.model for one in info.message.active] == ["har"]
    assert isinstance(event, Said)
    assert isinstance(event.message, Event)
    assert (event.message.model, event.message.job, event.message.version) == ("", "", 3)


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        ('"' + "x" * 60 + '"', "x" * 49 + "…"),
        ('"a\x7fb"', "a\N{REPLACEMENT CHARACTER}b"),
        ('"a\\u001bb"', "a\N{REPLACEMENT CHARACTER}b"),
        ('"\u202eb"', "\N{REPLACEMENT CHARACTER}b"),
        ("9223372036854775807", 9223372036854775807),
        ("0.30000000000000004", 0.30000000000000004),
        ('["]]]]", ["{"]]', ["]]]]", ["{"]]),
    ],
    ids=range(7),
)
def test_what_has_to_be_cut_is_however_it_is_written(free: str, expected: object) -> None:
    payload = '{"device":"pi-1","sources":{"a":{"b":%s}}}' % free  # noqa: UP031  # braces

    found = read(TOPICS, TOPICS.device("pi-1", "info"), payload.encode(), 50)

    assert isinstance(found, Said)
    assert isinstance(found.message, DeviceInfo)
    assert found.message.sources == {"a": {"b": expected}}


@pytest.mark.parametrize("free", ["9223372036854775808", "-" + "9" * 25, "[" * 1500 + "]" * 1500])
def test_what_nobody_could_keep_is_refused_however_it_is_written(free: str) -> None:
    payload = '{"device":"pi-1","sources":{"a":{"b":%s}}}' % free  # noqa: UP031  # braces

    assert read(TOPICS, TOPICS.device("pi-1", "info"), payload.encode()) == Unreadable("pi-1", "malformed")


def test_a_report_is_read_without_its_results_where_nobody_wants_them() -> None:
    whole = read(TOPICS, *PI.report(message="m", seconds={"capture": 1.0}, results={"a": [1]}))
    part = read(TOPICS, *PI.report(message="m", seconds={"capture": 1.0}, results={"a": [1]}), results=False)

    assert isinstance(whole, Said)
    assert isinstance(part, Said)
    assert isinstance(whole.message, JobReport)
    assert whole.message.results == {"a": [1]}
    assert isinstance(part.message, JobReport)
    assert part.message == msgspec.structs.replace(whole.message, results={}, seq=part.message.seq, ts=part.message.ts)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_anything_in_a_free_field_is_read_or_refused(value: Any) -> None:
    payload = json.dumps({"device": "pi-1", "sources": {"a": {"b": value}}}).encode()

    found = read(TOPICS, TOPICS.device("pi-1", "info"), payload)

    assert isinstance(found, Unreadable) or isinstance(found.message, DeviceInfo)


def test_a_sound_flat_message_is_as_it_was_said() -> None:
    health, model = read(TOPICS, *PI.health()), read(TOPICS, *PI.model())

    assert isinstance(health, Said)
    assert isinstance(health.message, Health)
    assert health.message.temperature_c == 51.5
    assert isinstance(model, Said)
    assert isinstance(model.message, ModelState)
    assert model.message.runtime == "onnxruntime 1.32.0"


def _plain(message: Any) -> Any:
    return msgspec.to_builtins(message)


def strings(value: Any) -> list[str]:
    """Every string in plain values, keys included."""
    match value:
        case str():
            return [value]
        case list():
            return [text for one in value for text in strings(one)]
        case dict():
            return [text for pair in value.items() for one in pair for text in strings(one)]
    return []
