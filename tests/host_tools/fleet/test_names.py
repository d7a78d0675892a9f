import pytest

from edge_agent.wire.messages import ActiveRelease, DeviceInfo
from edge_agent.wire.telemetry import Event
from host_tools.fleet.names import with_names


@pytest.mark.parametrize("model", ["x, body", "<b>", "../orders", "", "Har", "x" * 64])
def test_a_release_under_a_name_that_none_has_is_left_out(model: str) -> None:
    releases = [ActiveRelease("har", 3, "3f2a9c0d1e5b7a86", "accepted"), ActiveRelease(model, 3, "", "accepted")]

    read = with_names(DeviceInfo(device="pi-01", active=releases))

    assert isinstance(read, DeviceInfo)
    assert read.active == releases[:1]


def test_an_event_about_what_cannot_be_is_about_nothing() -> None:
    event = Event(device="pi-01", event_seq=1, kind="failed", model="a b", job="../x", message="it failed")

    read = with_names(event)

    assert isinstance(read, Event)
    assert (read.model, read.job, read.message) == ("", "", "it failed")


def test_a_message_whose_names_are_names_is_the_same() -> None:
    event = Event(device="pi-01", event_seq=1, kind="failed", model="har")
    info = DeviceInfo(device="pi-01", active=[ActiveRelease("har", 3, "3f2a9c0d1e5b7a86", "accepted")])

    assert with_names(event) is event
    assert with_names(info) is info
