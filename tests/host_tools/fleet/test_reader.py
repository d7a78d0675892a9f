"""A fleet as it is read from a broker, and then listened to."""

import time
from collections.abc import Iterable

import pytest
from support.brokers import Broker

from edge_agent.wire.messages import ActiveRelease, DeviceInfo, DeviceStatus, JobReport, Message, encode
from edge_agent.wire.telemetry import ModelState
from edge_agent.wire.topics import Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.fleet.reader import FleetReader
from host_tools.fleet.view import FleetView

JOB = "a" * 16


def said(topics: Topics, *messages: Message) -> Iterable[tuple[str, bytes]]:
    for one in messages:
        match one:
            case DeviceInfo(device=device):
                yield topics.device(device, "info"), encode(one)
            case DeviceStatus(device=device):
                yield topics.device(device, "status"), encode(one)
            case ModelState(device=device, model=model):
                yield topics.device(device, "model", model), encode(one)
            case JobReport(device=device, job=job):
                yield topics.device(device, "job", job), encode(one)


def fresh(name: str) -> list[Message]:
    """A device without a model, and a report that is of no interest."""
    return [DeviceInfo(device=name, agent_version="0.2.0"), report(name)]


def old(name: str) -> list[Message]:
    active = [ActiveRelease("har", 3, JOB, "accepted")]
    return [DeviceInfo(device=name, agent_version="0.1.0", active=active), report(name)]


def report(name: str) -> JobReport:
    return JobReport(device=name, job=JOB, model="har", version=3, stage="activate", status="succeeded", started="x")


@pytest.mark.parametrize(("strangers", "of_all"), [(60, False), (3, True)])
def test_reports_are_read_of_those_of_whose_jobs_nothing_else_tells(
    one_broker: Broker, namespace: str, strangers: int, *, of_all: bool
) -> None:
    settings, view = Settings(url=one_broker.url, namespace=namespace), FleetView()
    with Session(settings) as session:
        fleet = [*map(fresh, map("new-{:02}".format, range(strangers))), *map(old, map("old-{:02}".format, range(60)))]
        session.publish_all(said(session.topics, *(message for device in fleet for message in device)))
        FleetReader(session, view).read()

        assert (session.topics.devices("job") in session._filters) is of_all
        assert (session.topics.device("old-07", "job", "+") in session._filters) is not of_all
        rows = list(view.rows(time.time()))
    assert [row.status for row in rows] == [""] * strangers + ["succeeded"] * 60


def test_devices_that_come_later_are_asked_for_reports_only_if_they_tell_no_state(
    one_broker: Broker, namespace: str
) -> None:
    view = FleetView()
    with Session(Settings(url=one_broker.url, namespace=namespace)) as session:
        reader = FleetReader(session, view)
        reader.read()
        told = ModelState(device="new-01", model="har", active_version=1)
        highest = DeviceInfo(device="new-01", highest={"har": 1})
        session.publish_all(said(session.topics, highest, told, *old("old-01")))
        deadline = time.monotonic() + 60
        while not any(row.status == "succeeded" for row in view.rows(0.0)):
            reader.next(1.0)
            assert time.monotonic() < deadline

        assert session.topics.device("old-01", "job", "+") in session._filters
        assert session.topics.device("new-01", "job", "+") not in session._filters


def test_what_is_cleared_goes(one_broker: Broker, namespace: str) -> None:
    view = FleetView()
    with Session(Settings(url=one_broker.url, namespace=namespace)) as session:
        topics = session.topics
        status = DeviceStatus(device="pi-1", online=True)
        session.publish_all(said(topics, status, ModelState(device="pi-1", model="har", active_version=1)))
        reader = FleetReader(session, view)
        reader.read()
        shown = [[row.model for row in view.rows(0.0)]]
        for topic in (topics.device("pi-1", "model", "har"), topics.device("pi-1", "status")):
            session.publish(topic, b"")
            assert reader.next(60.0) is not None
            shown.append([row.model for row in view.rows(0.0)])

    assert shown == [["har"], [""], []]
