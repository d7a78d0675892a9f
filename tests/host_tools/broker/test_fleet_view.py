"""What a host makes of what a fleet says: rows, also of a device that knows no telemetry."""

import msgspec
import pytest

from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.wire.messages import ActiveRelease, DeviceInfo, DeviceStatus, JobReport, Refused, encode
from edge_agent.wire.telemetry import Event, Health, ModelSample, ModelState
from edge_agent.wire.topics import Topics
from host_tools.broker.fleet_reading import message_of
from host_tools.broker.fleet_view import Concern, FleetView, Row

NOW = 1.8e9
ONLINE = DeviceStatus(device="pi-01", online=True, ts="2027-01-15T07:00:00Z")
INFO = DeviceInfo(
    device="pi-01", board="Raspberry Pi 4", groups=["lab"], active=[ActiveRelease("har", 3, "a" * 16, "accepted")]
)
STATE = ModelState(
    device="pi-01", model="har", active_version=3, job="b" * 16, job_version=4, stage="capture", status="in_progress",
    progress=0.25, p50_ms=1.0, float_p50_ms=4.0, agreement=0.99,
)  # fmt: skip
SAMPLE = ModelSample(device="pi-01", model="har", version=3, interval_s=60.0, inferences=100, p50_ms=2.0)


def view(*messages: object, names: list[str] | None = None) -> FleetView:
    made = FleetView(names)
    for message in messages:
        made.take("pi-01", message, NOW)  # type: ignore[arg-type]  # each is a message
    return made


def row(*messages: object, now: float = NOW) -> Row:
    (only,) = view(*messages).rows(now)
    return only


def test_a_row_has_what_each_message_says() -> None:
    shown = row(ONLINE, INFO, STATE, Health(device="pi-01", temperature_c=61.5, throttled=True), SAMPLE)

    assert (shown.online, shown.board, shown.model, shown.version) == (True, "Raspberry Pi 4", "har", 3)
    assert (shown.state, shown.progress, shown.concern) == ("capture", 0.25, Concern.WORKING)
    assert (shown.latency_ms, shown.latency_ratio, shown.agreement) == (2.0, 0.5, 0.99)
    assert (shown.temperature_c, shown.throttled, shown.seen) == (61.5, True, NOW)


def test_what_serving_has_now_is_news_for_a_while_only() -> None:
    fleet = view(ONLINE, STATE, SAMPLE)
    fleet.take("pi-01", Health(device="pi-01"), NOW + 200)

    (late,) = fleet.rows(NOW + 200)
    assert late.latency_ms == 1.0


def test_a_device_of_the_first_version_is_shown_by_its_reports() -> None:
    chosen = MeasuredModel(method="static", latency_p50_ms=2.0, agreement=0.98)
    results = msgspec.to_builtins(Result(reference=MeasuredModel(latency_p50_ms=5.0), chosen=chosen))
    done = JobReport(
        device="pi-01", job="a" * 16, model="har", version=3, stage="activate", status="succeeded", code="accepted",
        started="2026-01-01T00:00:00Z", results=results,
    )  # fmt: skip
    newer = msgspec.structs.replace(
        done, job="b" * 16, version=4, stage="calibrate", status="in_progress", progress=0.5, code="", results={},
        started="2026-01-02T00:00:00Z", detail="200 of 300 windows",
    )  # fmt: skip
    old = msgspec.structs.replace(newer, job="c" * 16, started="2025-12-01T00:00:00Z", stage="receive")
    fleet = view(ONLINE, INFO, newer, done, old)
    (shown,) = fleet.rows(NOW)

    assert fleet.stateless == ["pi-01"]
    assert (shown.version, shown.stage, shown.message) == (3, "calibrate", "200 of 300 windows")
    assert shown.progress == pytest.approx(2.5 / 7)
    assert (shown.latency_ms, shown.float_ms, shown.agreement) == (2.0, 5.0, 0.98)


def test_results_that_nobody_understands_are_no_numbers() -> None:
    report = JobReport(
        device="pi-01", job="a" * 16, model="har", version=3, stage="?", status="succeeded", results={"chosen": [1]}
    )
    shown = row(ONLINE, report)

    assert (shown.latency_ms, shown.agreement, shown.latency_ratio) == (None, None, None)


@pytest.mark.parametrize(
    ("changes", "concern", "state"),
    [
        ({"progress": None, "status": "succeeded", "code": "accepted"}, Concern.NONE, "succeeded"),
        ({"progress": None, "status": "rejected", "code": "no_gain"}, Concern.REJECTED, "rejected no_gain"),
        ({"progress": None, "status": "failed", "code": "no_space"}, Concern.FAILED, "failed no_space"),
        ({"progress": None, "status": "succeeded", "stale": True}, Concern.AILING, "succeeded"),
        ({"progress": 0.5}, Concern.WORKING, "capture"),
    ],
)
def test_what_is_of_concern(changes: dict[str, object], concern: Concern, state: str) -> None:
    shown = row(ONLINE, msgspec.structs.replace(STATE, **changes))

    assert (shown.concern, shown.state) == (concern, state)


def test_a_device_that_is_gone_or_refuses_is_told_of() -> None:
    refusing = msgspec.structs.replace(ONLINE, refused=Refused("har", "", "untrusted"))

    assert row(INFO).concern is Concern.OFFLINE
    assert row(refusing, INFO).state == "refused untrusted"
    assert row(refusing, INFO).concern is Concern.AILING


def test_the_will_of_a_device_is_no_sign_of_life_and_what_is_retained_has_its_own_date() -> None:
    fleet = FleetView()
    fleet.take("pi-01", ONLINE, NOW, retained=True)
    (before,) = fleet.rows(NOW)
    fleet.take("pi-01", DeviceStatus(device="pi-01", online=False), NOW)
    (after,) = fleet.rows(NOW)

    assert before.seen == after.seen == 1_799_996_400.0
    assert not after.online


def test_a_row_is_found_by_words_in_any_of_its_cells() -> None:
    shown = row(ONLINE, INFO, STATE)

    assert shown.has([])
    assert shown.has(["pi 4", "lab", "capture", "online"])
    assert not shown.has(["pi 4", "offline"])


def test_only_named_devices_are_looked_at_and_a_device_names_no_end_of_models() -> None:
    assert not view(names=["pi-02"]).take("pi-01", ONLINE, NOW)
    fleet = view(ONLINE)
    taken = [fleet.take("pi-01", ModelState(device="pi-01", model=f"m{number}"), NOW) for number in range(200)]

    assert sum(taken) == 64
    assert len(list(fleet.rows(NOW))) == 64

    told = [ActiveRelease(f"n{number}", 1, "a" * 16, "accepted") for number in range(200)]
    assert fleet.take("pi-01", msgspec.structs.replace(INFO, active=told), NOW)
    assert fleet.take("pi-01", msgspec.structs.replace(ONLINE, online=False), NOW), "it has no end, either"
    assert [one.model for one in fleet.rows(NOW)] == sorted(f"m{number}" for number in range(64))
    assert not any(one.online for one in fleet.rows(NOW))


def test_nobody_speaks_for_another() -> None:
    topics = Topics("ea/v1")
    right = message_of(topics, topics.device("pi-01", "model", "har"), encode(STATE))
    stream = message_of(topics, topics.model_stream("pi-01", "har"), encode(SAMPLE))
    event = message_of(topics, topics.device("pi-01", "event"), encode(Event(device="pi-01", event_seq=1, kind="new")))
    wrong = [
        message_of(topics, topics.device("pi-02", "model", "har"), encode(STATE)),
        message_of(topics, topics.device("pi-01", "model", "hat"), encode(STATE)),
        message_of(topics, topics.model_stream("pi-01", "hat"), encode(SAMPLE)),
        message_of(topics, topics.device("pi-01", "tele", "weather"), encode(SAMPLE)),
        message_of(topics, topics.device("pi-01", "model", "har"), b"\xff"),
        message_of(topics, topics.device("pi-01", "need"), b"{}"),
        message_of(topics, "elsewhere", encode(STATE)),
    ]

    assert right == ("pi-01", STATE)
    assert stream == ("pi-01", SAMPLE)
    assert event is not None
    assert wrong == [None] * 7
