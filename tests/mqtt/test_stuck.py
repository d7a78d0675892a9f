"""A broker that ends the connection rather than take a message keeps nobody off for good."""

import pytest
from support.closing_broker import closing_broker
from support.links import QueuedLink

from edge_agent.mqtt import Connected, Disconnected, link
from edge_agent.mqtt.outcome import Outcome, Reached
from edge_agent.mqtt.stuck import Stuck

LOST = Disconnected("the broker closed the connection")
TWIN = Disconnected("another client connects by this id", twin=True)
UNTAKEN = Outcome(Reached.A_SESSION, LOST, 0.1, waits="event")


@pytest.mark.parametrize(
    ("ended", "learnt"),
    [
        ([UNTAKEN] * 3, True),
        ([UNTAKEN] * 2, False),
        ([UNTAKEN, UNTAKEN, Outcome(Reached.NOTHING, LOST), UNTAKEN], True),
        ([UNTAKEN, UNTAKEN, Outcome(Reached.A_SESSION, LOST, 0.1, acknowledged=True, waits="event")], False),
        ([UNTAKEN, UNTAKEN, Outcome(Reached.A_SESSION, LOST, 60, waits="event"), UNTAKEN], False),
        ([Outcome(Reached.A_SESSION, LOST, 0.1)] * 9, False),
        ([Outcome(Reached.A_SESSION, TWIN, 0.1, waits="event")] * 9, False),
        ([UNTAKEN] * 4, False),
    ],
)
def test_only_connections_that_end_at_their_first_message_count(ended: list[Outcome], *, learnt: bool) -> None:
    stuck = Stuck()

    assert [stuck.learn(outcome) for outcome in ended][-1] is learnt


def test_what_the_broker_does_not_take_is_given_up_and_the_rest_gets_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link, "_FIRST_DELAY_S", 0.01)
    told: list[str] = []
    line = "topic write ea/v1/d/%u/event"
    with (
        closing_broker(lambda topic: topic != "d/pi/event") as (url, heard),
        QueuedLink(url, clean=False, longest_delay_s=0.05, acl_line=lambda _topic: line) as device,
    ):
        device.expect(Connected)
        device.link.publish("d/pi/event", b"{}", then=told.append)
        device.expect(Disconnected, where=lambda event: event.gave_up)
        device.expect(Connected)
        assert device.link.publish("d/pi/status", b"{}").wait(60)

    *before, last = heard
    assert last == ["d/pi/status"]
    assert before in ([["d/pi/event"]] * 3, [["d/pi/event"]] * 4), "a connection may end before its sender returns"
    assert len(told) == 1
    assert "instead of accepting it" in told[0]
    assert line in caplog.text
