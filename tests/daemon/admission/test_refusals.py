"""Which refused orders are told as events."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agents import DEVICE, LocalAgent

from edge_agent.daemon.admission.refusals import Refusals
from edge_agent.errors import TrustError
from edge_agent.wire.topics import WantTopic

if TYPE_CHECKING:
    from edge_agent.wire.messages import Refused

EXPIRED = TrustError("expired", "it expired in 2001")


class Door:
    """Refuses signed wants, and keeps what is to be an event."""

    def __init__(self, local: LocalAgent) -> None:
        self.told: list[Refused] = []
        self.refusals = Refusals(local.agent.publisher, self.told.append)

    def refuse(self, wrapped: str, job: str = "job", *, live: bool = True) -> None:
        self.refusals.refuse(WantTopic(DEVICE, "har"), wrapped.encode(), job, EXPIRED, signed=True, live=live)


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
