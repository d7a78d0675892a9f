"""What is kept of a fleet, and for how long."""

import sys

import msgspec
import pytest
from support.fleets import JOB, Voice

from edge_agent.wire.messages import Message
from edge_agent.wire.topics import Topics
from host_tools.fleet import state
from host_tools.fleet.device_state import FRESH_S, MOST_JOBS, MOST_MODELS
from host_tools.fleet.reading import Said, read
from host_tools.fleet.state import FORGET_S, Fleet

TOPICS = Topics("t/fleet")
NOW = 1_800_000_000.0


@pytest.fixture
def pi() -> Voice:
    return Voice("pi-1", TOPICS)


def said(message: tuple[str, bytes]) -> Said:
    found = read(TOPICS, *message)
    assert isinstance(found, Said)
    return found


def test_the_newest_of_each_is_kept(pi: Voice) -> None:
    fleet = Fleet()
    for message in (pi.status(), pi.info(), pi.model(), pi.report(), pi.health(), pi.health(temperature_c=60.0)):
        fleet.take(said(message), NOW)

    device = fleet.devices["pi-1"]
    assert device.online
    assert device.board is not None
    assert device.board.groups == ("lab",)
    assert device.models["har"].active_version == 7
    assert (device.jobs[JOB].model, device.jobs[JOB].status) == ("har", "succeeded")
    assert device.health is not None
    assert device.health.sample.temperature_c == 60.0


def test_what_the_broker_cleared_is_gone(pi: Voice) -> None:
    fleet = Fleet()
    for message in (pi.status(), pi.model(), pi.sample(), pi.report()):
        fleet.take(said(message), NOW)
    device = fleet.devices["pi-1"]
    for topic, _ in (pi.model(), pi.report(), pi.status()):
        fleet.take(said((topic, b"")), NOW)

    assert (device.models, device.served, device.jobs, device.online) == ({}, {}, {}, False)
    assert not fleet.devices


def test_what_was_cleared_while_we_were_away_is_gone(pi: Voice) -> None:
    fleet = Fleet()
    for message in (pi.status(), pi.model(), pi.model("kws")):
        fleet.take(said(message), NOW, retained=True)
    fleet.take(said(Voice("pi-2", TOPICS).status()), NOW - 2 * FORGET_S, retained=False)

    fleet.take(said(pi.health()), NOW)
    before = fleet.devices["pi-1"].changed
    fleet.replace_kept(Fleet.of_kept([said(pi.status()), said(pi.model("kws"))], NOW), NOW)

    assert list(fleet.devices) == ["pi-1"]
    device = fleet.devices["pi-1"]
    assert list(device.models) == ["kws"]
    assert device.health is not None, "what it says live is still there"
    assert device.changed > before


def test_a_sample_is_fresh_for_three_of_its_intervals(pi: Voice) -> None:
    fleet = Fleet()
    fleet.take(said(pi.health()), NOW)
    health = fleet.devices["pi-1"].health
    assert health is not None
    assert health.fresh(NOW + FRESH_S)
    assert not health.fresh(NOW + FRESH_S + 1)

    fleet.take(said(pi.health()), NOW + 600)

    assert health.fresh(NOW + 600 + 1800)
    assert not health.fresh(NOW + 600 + 1801)


def test_an_outage_is_no_pace(pi: Voice) -> None:
    fleet = Fleet()
    back = NOW + 86_400
    for at in (NOW - 120, NOW - 60, NOW, back):
        fleet.take(said(pi.health()), at)

    health = fleet.devices["pi-1"].health
    assert health is not None
    assert health.fresh(back + FRESH_S)
    assert not health.fresh(back + FRESH_S + 1)
    fleet = Fleet()
    for at in (NOW, back):
        fleet.take(said(pi.health()), at)
    health = fleet.devices["pi-1"].health
    assert health is not None
    assert not health.fresh(back + 9 * 3600 + 1), "no interval is believed that is longer than three hours"


def test_serving_has_the_pace_that_it_says(pi: Voice) -> None:
    fleet = Fleet()
    for version in (7, 8):  # both answered in the interval
        fleet.take(said(pi.sample(interval_s=1800.0, version=version)), NOW)

    newest = fleet.devices["pi-1"].served["har"].newest
    assert newest.fresh(NOW + 5400)
    assert not newest.fresh(NOW + 5401)


def test_who_is_gone_has_no_temperature(pi: Voice) -> None:
    fleet = Fleet()
    for message in (pi.status(), pi.health(), pi.sample(), pi.status(online=False)):
        fleet.take(said(message), NOW)

    device = fleet.devices["pi-1"]
    assert device.health is None
    assert not device.served["har"].newest.fresh(NOW)
    assert device.served["har"].inferences == 1200
    fleet.take(said(pi.sample()), NOW + 60)
    assert device.served["har"].newest.fresh(NOW + 60)


def test_seen_is_when_the_device_spoke_and_not_when_the_broker_spoke_of_it(pi: Voice) -> None:
    fleet = Fleet()
    device = Voice("pi-1", TOPICS)
    fleet.take(said(device.model(at=NOW - 500)), NOW, retained=True)
    assert fleet.devices["pi-1"].seen == NOW - 500
    fleet.take(said(device.model(at=NOW + 9999)), NOW, retained=True)  # its clock is ahead
    assert fleet.devices["pi-1"].seen == NOW
    fleet.take(said(device.status(online=False)), NOW + 50)  # the will
    assert fleet.devices["pi-1"].seen == NOW
    fleet.take(said(device.status()), NOW + 60)
    assert fleet.devices["pi-1"].seen == NOW + 60


def test_an_event_counts_once(pi: Voice) -> None:
    fleet = Fleet()
    first, second = said(pi.event()), said(pi.event("a kind of a later version"))
    for event in (first, second, first, second):
        fleet.take(event, NOW)

    assert fleet.devices["pi-1"].events == {("activated", "info"): 1, ("other", "info"): 1}


def test_a_sample_that_somebody_had_the_broker_keep_is_none(pi: Voice) -> None:
    fleet = Fleet()
    for message in (pi.health(), pi.sample(), pi.event()):
        fleet.take(said(message), NOW, retained=True)

    assert not fleet.devices


def test_samples_are_added_up_and_nothing_below_zero_is(pi: Voice) -> None:
    fleet = Fleet()
    for message in (pi.sample(), pi.sample(), pi.sample(inferences=-5)):
        fleet.take(said(message), NOW)

    assert fleet.devices["pi-1"].served["har"].inferences == 2400
    assert fleet.devices["pi-1"].served["har"].errors == 9


def test_memory_is_bounded(pi: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MOST_DEVICES", 3)
    fleet = Fleet()
    for number in range(200):
        fleet.take(said(pi.model(f"model-{number}")), NOW)
        fleet.take(said(pi.sample(f"model-{number}")), NOW)
        fleet.take(said(pi.report(f"{number:016x}")), NOW)
        fleet.take(said(Voice(f"pi-{number}", TOPICS).status()), NOW)

    device = fleet.devices["pi-1"]
    assert (len(device.models), len(device.served), len(device.jobs)) == (MOST_MODELS, MOST_MODELS, MOST_JOBS)
    assert len(fleet.devices) == 3
    assert device.left_out == 2 * (200 - MOST_MODELS) + 200 - MOST_JOBS
    assert fleet.left_out == 197


def test_a_device_that_nobody_knows_any_more_is_forgotten(pi: Voice) -> None:
    fleet = Fleet()
    fleet.take(said(pi.health()), NOW)
    fleet.forget(NOW + FORGET_S)
    assert "pi-1" in fleet.devices

    fleet.forget(NOW + FORGET_S + 1)

    assert not fleet.devices
    fleet.take(Said("pi-9", "status", "", None), NOW)
    assert not fleet.devices


def test_the_words_of_many_jobs_are_the_same_and_none_of_them_stays_for_ever(pi: Voice) -> None:
    fleet = Fleet()
    for number in range(3):
        fleet.take(said(pi.report(f"{number:016x}", model="har-7", status="odd one", code="odd code")), NOW)

    first, *others = fleet.devices["pi-1"].jobs.values()
    for end in others:
        assert (end.model is first.model, end.status is first.status, end.code is first.code) == (True, True, True)
    for kept in (first.status, first.code):
        again = "".join([*kept])
        assert sys.intern(again) is not kept, "Python may never forget what is interned"


def test_no_message_is_kept_whole_that_holds_free_values(pi: Voice) -> None:
    fleet = Fleet()
    fleet.take(said(pi.info(sources={"a": {"b": "x" * 500}})), NOW)
    fleet.take(said(pi.report(results={"a": "x" * 500})), NOW)

    kept = fleet.devices["pi-1"]
    assert not any(isinstance(one, Message) for one in (kept.board, *kept.jobs.values()))
    assert b"xxx" not in msgspec.json.encode([kept.board, kept.jobs])
