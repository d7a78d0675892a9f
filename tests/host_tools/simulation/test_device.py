"""A simulated device says what its seed has in store, by the structs of real ones."""

import math
from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from edge_agent.errors import WireError
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, Message, decode
from edge_agent.wire.telemetry import EVENT_KINDS, Event, Health, ModelSample, ModelState
from edge_agent.wire.topics import Topics
from host_tools.simulation.device import Said, SimulatedDevice
from host_tools.simulation.fleet import Fleet
from host_tools.simulation.plan import Plan

BEGAN = 1.8e9
BUSY = Plan(devices=3, jobs_per_hour=30, job_s=40, failures=0.4, drops_per_hour=2)


def heard(plan: Plan, hours: float = 1.0, number: int = 0) -> list[tuple[float, Said]]:
    """What a device says, and when, if it is asked whenever it is due."""
    device = SimulatedDevice(plan, number, BEGAN)
    said = [(BEGAN, one) for one in device.connected(BEGAN)]
    while (now := device.due) < BEGAN + hours * 3600:
        if device.drops(now):
            continue
        said += [(now, one) for one in device.advance(now)]
    return said


def messages(said: list[tuple[float, Said]], kind: type[Message]) -> list[Message]:
    return [one.message for _, one in said if isinstance(one.message, kind)]


def test_the_same_seed_says_the_same_and_another_one_something_else() -> None:
    payloads = [[one.payload for _, one in heard(plan)] for plan in (BUSY, BUSY, replace(BUSY, seed=2))]

    assert len(payloads[0]) > 300
    assert payloads[0] == payloads[1] != payloads[2]


def test_a_device_is_the_same_in_a_fleet_of_any_size() -> None:
    assert heard(BUSY, number=1) == heard(replace(BUSY, devices=5000), number=1) != heard(BUSY, number=2)


def test_every_message_is_one_of_the_protocol_and_numbered() -> None:
    topics, kinds = Topics("ea/v1"), Counter[str]()
    said = heard(BUSY)
    for _, one in said:
        topic = topics.parse(topics.device("sim-0001", one.kind, one.leaf))
        kinds[one.kind] += 1
        if one.message is not None:
            again = decode(one.payload, type(one.message))
            assert again.device == topic.device  # type: ignore[attr-defined, union-attr]  # all of them have one
            assert again.ts

    seqs = [one.message.seq for _, one in said if one.message]
    assert seqs == list(range(1, len(seqs) + 1))
    assert kinds.keys() == {"status", "info", "job", "model", "event", "tele"}
    assert {one.qos for _, one in said if one.kind == "tele"} == {0}
    assert {one.retain for _, one in said if one.kind in ("tele", "event")} == {False}


def test_jobs_go_through_their_stages_and_their_ends_are_told() -> None:
    said = heard(BUSY)
    ends = {one.job: one for one in messages(said, JobReport) if isinstance(one, JobReport) and one.ended}
    events = [one for one in messages(said, Event) if isinstance(one, Event)]
    states = [one for one in messages(said, ModelState) if isinstance(one, ModelState)]
    told = {one.job: one.kind for one in events if one.job}

    assert {one.status for one in ends.values()} == {"succeeded", "rejected", "failed"}
    for job, kind in told.items():
        assert kind == {"succeeded": "activated"}.get(ends[job].status, ends[job].status)
    assert {one.kind for one in events} <= EVENT_KINDS.keys()
    assert [one.event_seq for one in events] == list(range(1, len(events) + 1))
    assert {"receive", "capture", "calibrate", "quantize", "validate", "benchmark", "activate"} <= {
        one.stage for one in states
    }
    last = states[-1]
    assert last.p50_ms is not None
    assert last.float_p50_ms is not None
    assert last.latency_ratio == pytest.approx(last.p50_ms / last.float_p50_ms, rel=0.01)


def test_info_and_state_tell_of_the_same_release() -> None:
    said = heard(BUSY)
    info, state = messages(said, DeviceInfo)[-1], messages(said, ModelState)[-1]

    assert isinstance(info, DeviceInfo)
    assert isinstance(state, ModelState)
    assert [(one.model, one.version) for one in info.active] == [("har", state.active_version)]
    assert "simulated" in info.board


def test_samples_come_at_their_pace_or_not_at_all() -> None:
    quiet = Plan(devices=1, jobs_per_hour=0, health_s=0, model_s=20)
    said = heard(quiet)
    samples = messages(said, ModelSample)

    assert messages(said, Health) == []
    assert len(samples) == 180
    assert isinstance(samples[-1], ModelSample)
    assert samples[-1].interval_s == pytest.approx(20, abs=0.01)


def test_a_device_without_models_begins_no_job_of_itself() -> None:
    said = heard(replace(BUSY, models=0))

    assert messages(said, JobReport) == []
    assert messages(said, Health) != []


def test_of_many_reports_the_newest_stay() -> None:
    held: dict[str, bytes] = {}
    for _, one in heard(replace(BUSY, jobs_per_hour=60), hours=2):
        if one.kind == "job":
            held[one.leaf] = one.payload

    assert sum(bool(payload) for payload in held.values()) == 20
    assert len(held) > 40


def test_a_pushed_version_is_taken_once_and_after_the_job_under_way() -> None:
    device = SimulatedDevice(Plan(devices=1, jobs_per_hour=0, health_s=0, model_s=0), 0, BEGAN)
    device.order("har", 50, "a" * 16, BEGAN)
    device.order("har", 51, "b" * 16, BEGAN)
    device.order("har", 50, "a" * 16, BEGAN)
    device.order("new", 1, "c" * 16, BEGAN)
    jobs = list[str]()
    while (now := device.due) < math.inf:
        jobs += [one.leaf for one in device.advance(now) if one.kind == "job" and b'"progress":1.0' in one.payload]

    assert sorted(jobs) == ["a" * 16, "b" * 16, "c" * 16]
    assert jobs.index("a" * 16) < jobs.index("b" * 16)
    assert not device.is_meant_by(["d/sim-0002", "g/lab"])
    assert device.is_meant_by(["g/all"])


def test_a_pushed_version_that_is_not_newer_is_refused_until_a_newer_one_is_taken() -> None:
    device = SimulatedDevice(BUSY, 0, BEGAN)
    refused = list[str]()
    for version, job in ((50, "a"), (50, "a"), (50, "b"), (49, "c"), (50, "a"), (51, "d")):
        for one in device.order("har", version, job * 16, BEGAN):
            if isinstance(one.message, DeviceStatus):
                assert one.message.online
                refused.append(one.message.refused.code if one.message.refused else "")
            else:
                assert isinstance(one.message, Event)
                assert one.message.kind == "refused"
                assert one.message.code == refused[-1]

    assert refused == ["version_conflict", "downgrade", ""]


def test_beside_real_devices_it_obeys_only_what_names_it_or_its_groups() -> None:
    device = SimulatedDevice(replace(BUSY, groups=("lab",), beside_real=True), 0, BEGAN)

    assert not device.is_meant_by(["g/all", "g/other", "d/pi-0001"])
    assert device.is_meant_by(["g/lab"])
    assert device.is_meant_by(["d/sim-0001"])


def test_a_fleet_asks_only_those_that_are_connected() -> None:
    fleet = Fleet(replace(BUSY, drops_per_hour=0), BEGAN)
    for number in (0, 2):
        fleet.connected(number, BEGAN)
    first = [number for now in range(600) for number, _ in fleet.advance(BEGAN + now)]
    fleet.lost(2)
    second = [number for now in range(600, 1200) for number, _ in fleet.advance(BEGAN + now)]

    assert set(first) == {0, 2}
    assert set(second) == {0}
    assert fleet.connected_count == 1


def test_a_fleet_tells_which_device_loses_its_connection() -> None:
    fleet = Fleet(replace(BUSY, devices=1, drops_per_hour=60), BEGAN)
    fleet.connected(0, BEGAN)

    silent = [said for now in range(1800) for _, said in fleet.advance(BEGAN + now) if not said]

    assert len(silent) == 1, "it is not there to lose it again"


def test_a_prefix_must_make_a_name() -> None:
    with pytest.raises(WireError, match="prefix"):
        Plan(devices=1, prefix="Not a name")


def test_what_is_retained_is_known_to_who_clears_it() -> None:
    device = SimulatedDevice(BUSY, 0, BEGAN)
    said = device.connected(BEGAN)
    for now in range(1, 1800):
        said += device.advance(BEGAN + now)
    kept: dict[tuple[str, str], bytes] = {(one.kind, one.leaf): one.payload for one in said if one.retain}

    assert device.retained[-1] == ("info", "")
    assert set(device.retained) == {topic for topic, payload in kept.items() if payload}
    assert msgspec.json.decode(kept["status", ""])["online"] is True
