"""What a host makes of what a fleet says: rows, also of a device that knows no telemetry."""

import msgspec
import pytest

from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.wire.messages import ActiveRelease, DeviceInfo, DeviceStatus, JobReport, Message, Refused
from edge_agent.wire.telemetry import Event, Health, ModelSample, ModelState
from host_tools.fleet.reading import Said
from host_tools.fleet.row import Concern, Row
from host_tools.fleet.view import FleetView

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


def said(message: Message, device: str = "pi-01") -> Said:
    return Said(device, "", "", message)


def view(*messages: Message, names: list[str] | None = None) -> FleetView:
    made = FleetView(names)
    for message in messages:
        made.take(said(message), NOW)
    return made


def row(*messages: Message, now: float = NOW) -> Row:
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
    fleet.take(said(Health(device="pi-01")), NOW + 200)

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
    fleet.take(said(ONLINE), NOW, retained=True)
    (before,) = fleet.rows(NOW)
    fleet.take(said(DeviceStatus(device="pi-01", online=False)), NOW)
    (after,) = fleet.rows(NOW)

    assert before.seen == after.seen == 1_799_996_400.0
    assert not after.online


def test_a_row_is_found_by_words_in_any_of_its_cells() -> None:
    shown = row(ONLINE, INFO, STATE)

    assert shown.has([])
    assert shown.has(["pi 4", "lab", "capture", "online"])
    assert not shown.has(["pi 4", "offline"])


def test_only_named_devices_are_looked_at_and_a_device_names_no_end_of_models() -> None:
    assert not view(names=["pi-02"]).take(said(ONLINE), NOW)
    fleet = view(ONLINE)
    taken = [fleet.take(said(ModelState(device="pi-01", model=f"m{number}")), NOW) for number in range(200)]

    assert sum(taken) == 64
    assert len(list(fleet.rows(NOW))) == 64

    told = [ActiveRelease(f"n{number}", 1, "a" * 16, "accepted") for number in range(200)]
    assert fleet.take(said(msgspec.structs.replace(INFO, active=told)), NOW)
    assert fleet.take(said(msgspec.structs.replace(ONLINE, online=False)), NOW), "it has no end, either"
    assert [one.model for one in fleet.rows(NOW)] == sorted(f"m{number}" for number in range(64))
    assert not any(one.online for one in fleet.rows(NOW))


def test_what_is_no_longer_retained_is_no_longer_shown() -> None:
    done = JobReport(device="pi-01", job="a" * 16, model="kws", version=1, stage="activate", status="succeeded")
    fleet = view(ONLINE, STATE, SAMPLE, done)
    assert [one.model for one in fleet.rows(NOW)] == ["har", "kws"]

    gone = (("model", "har"), ("job", "a" * 16), ("info", ""), ("event", ""))
    changed = [fleet.take(Said("pi-01", kind, leaf, None), NOW) for kind, leaf in gone]
    assert changed == [True, True, True, False]
    assert [(one.model, one.online) for one in fleet.rows(NOW)] == [("", True)]

    assert fleet.take(Said("pi-01", "status", "", None), NOW)
    assert list(fleet.rows(NOW)) == []
    assert not fleet.take(Said("pi-01", "status", "", None), NOW)


def test_a_device_that_was_named_stays_whatever_is_cleared() -> None:
    fleet = view(ONLINE, names=["pi-01"])
    fleet.take(Said("pi-01", "status", "", None), NOW)

    assert [one.online for one in fleet.rows(NOW)] == [False]


def test_a_model_is_outdated_where_another_device_runs_a_newer_version() -> None:
    fleet = view(ONLINE, STATE)
    assert [one.outdated for one in fleet.rows(NOW)] == [False]

    newer = msgspec.structs.replace(STATE, device="pi-02", active_version=4)
    fleet.take(said(newer, "pi-02"), NOW)
    assert [one.outdated for one in fleet.rows(NOW)] == [True, False]

    fleet.take(said(msgspec.structs.replace(STATE, active_version=4)), NOW)
    assert [one.outdated for one in fleet.rows(NOW)] == [False, False]


def test_a_device_is_quiet_when_its_samples_stop() -> None:
    fleet = view(ONLINE, Health(device="pi-01", temperature_c=50.0))

    shown = [(one.quiet, one.temperature_c) for now in (NOW, NOW + 300, NOW + 301) for one in fleet.rows(now)]
    assert shown == [(False, 50.0), (False, 50.0), (True, None)]
    assert not row(ONLINE).quiet, "one that sends none is not"
    assert row(INFO).quiet


def test_rows_that_were_made_grow_old_with_the_sample_in_them() -> None:
    fleet = view(ONLINE, STATE, SAMPLE)

    assert [one.latency_ms for now in (1, 180, 181) for one in fleet.rows(NOW + now)] == [2.0, 2.0, 1.0]


def test_an_event_that_comes_twice_is_news_once() -> None:
    event = Event(device="pi-01", event_seq=7, boot_id="a", kind="started")
    fleet = view(ONLINE)
    again = msgspec.structs.replace(event, boot_id="b")

    assert [fleet.take(said(one), NOW) for one in (event, event, again)] == [True, False, True]


@pytest.mark.parametrize(
    ("info", "stateless"),
    [
        (DeviceInfo(device="pi-01", agent_version="0.2.0"), False),
        (DeviceInfo(device="pi-01", agent_version="0.1.4"), True),
        (DeviceInfo(device="pi-01", highest={"har": 3}), True),
        (INFO, True),
    ],
)
def test_whose_reports_have_to_be_read(info: DeviceInfo, *, stateless: bool) -> None:
    assert view(ONLINE).stateless == []
    assert view(ONLINE, info).stateless == ["pi-01"] * stateless
    assert view(ONLINE, info, STATE).stateless == []
