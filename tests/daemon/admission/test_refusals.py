"""Which refused orders are told as events."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agents import DEVICE, LocalAgent

from edge_agent.daemon.admission.refusals import Refusals
from edge_agent.errors import TrustError
from edge_agent.wire.messages import DeviceStatus, decode
from edge_agent.wire.topics import WantTopic

if TYPE_CHECKING:
    from edge_agent.wire.messages import Refused

EXPIRED = TrustError("expired", "it expired in 2001")
UNTRUSTED = TrustError("untrusted", "nobody who is trusted has signed it")


class Door:
    """Refuses signed wants, and keeps what is to be an event."""

    def __init__(self, local: LocalAgent) -> None:
        self.told: list[Refused] = []
        self.local = local
        self.refusals = Refusals(local.agent.publisher, self.told.append)

    def refuse(self, wrapped: str, job: str = "job", *, live: bool = True) -> None:
        self.refusals.refuse(WantTopic(DEVICE, "har"), wrapped.encode(), job, EXPIRED, signed=True, live=live)

    def anybody(self) -> None:
        """Refuse what anybody may have sent."""
        self.refusals.refuse(WantTopic(DEVICE, "x"), b"x", "", UNTRUSTED, signed=False, live=True)

    def said(self) -> str:
        """The code of the refusal that the device's status names."""
        topic = next(topic for topic in self.local.link.retained if topic.endswith("/status"))
        refused = decode(self.local.link.retained[topic], DeviceStatus).refused
        return refused.code if refused else ""

    def status_was(self, seconds: float) -> None:
        """Let the last status be so old."""
        self.local.agent.publisher._status_published_at = time.monotonic() - seconds


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    agent = LocalAgent(tmp_path / "state").boot()
    yield Door(agent)
    agent.off()


def test_one_signed_order_is_one_event_however_it_is_wrapped(door: Door) -> None:
    for number in range(100):
        door.refuse("{" + " " * number)

    assert [refused.code for refused in door.told] == ["expired"]


def test_what_is_retained_comes_at_every_start_and_is_none(door: Door) -> None:
    door.refuse("{", live=False)
    assert door.told == []
    door.refuse("{")

    assert len(door.told) == 1, "whoever sends it now is answered"


def test_many_old_orders_do_not_use_up_what_a_day_may_write(door: Door) -> None:
    for number in range(300):
        door.refuse("{", f"job-{number}")

    assert 10 <= len(door.told) <= 30


def test_what_anybody_sends_takes_no_place_of_an_answer_that_waits(door: Door) -> None:
    """Something else was said in the second before, so the answer waits; a flood goes on meanwhile."""
    door.status_was(0)
    door.refuse("{")
    door.anybody()
    assert door.said() == ""

    for code in ("expired", "untrusted"):
        door.status_was(2)
        door.anybody()
        assert door.said() == code
