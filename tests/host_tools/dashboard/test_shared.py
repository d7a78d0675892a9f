"""Parts of a view that many look at."""

import asyncio

from edge_agent.report.html.markup import Markup
from host_tools.dashboard.live.parts import Parts
from host_tools.dashboard.live.shared import EVERY_S, Shared


class Fleet:
    """Makes parts, and counts how often."""

    def __init__(self) -> None:
        self.now = 0.0
        self.takes_s = 0.0
        self.made = 0

    async def parts(self) -> Parts:
        self.made += 1
        await asyncio.sleep(0)
        self.now += self.takes_s
        return {"a": Markup(f"{self.made}")}


def test_fifty_pages_of_one_view_are_made_once_a_second() -> None:
    fleet = Fleet()
    shared = Shared(lambda: fleet.now)

    async def looked_at() -> None:
        with shared.watching("view=fleet") as first, shared.watching("view=fleet") as second:
            seen = await asyncio.gather(*(one.made(7, fleet.parts) for one in (first, second) * 25))
            assert {(one.parts["a"], one.revision) for one in seen} == {("1", 7)}
            assert (await first.made(8, fleet.parts)).revision == 7

            fleet.now += EVERY_S
            assert (await second.made(8, fleet.parts)).revision == 8
            assert (await first.made(9, fleet.parts)).parts == {"a": "2"}

    asyncio.run(looked_at())
    assert fleet.made == 2


def test_another_view_has_parts_of_its_own_and_one_that_nobody_looks_at_is_forgotten() -> None:
    fleet = Fleet()
    shared = Shared(lambda: fleet.now)

    async def looked_at() -> None:
        with shared.watching("q=a") as one, shared.watching("q=b") as other:
            assert (await one.made(1, fleet.parts)).parts != (await other.made(1, fleet.parts)).parts
            assert shared.open == 2
        assert shared.open == 0
        with shared.watching("q=a") as again:
            await again.made(1, fleet.parts)

    asyncio.run(looked_at())
    assert fleet.made == 3


def test_what_takes_long_is_made_more_seldom() -> None:
    fleet = Fleet()
    fleet.takes_s = 2.0
    shared = Shared(lambda: fleet.now)

    async def looked_at() -> None:
        with shared.watching("view=fleet") as view:
            assert (await view.made(1, fleet.parts)).holds_s == 20.0
            fleet.now += 19.0
            assert (await view.made(2, fleet.parts)).revision == 1
            fleet.now += 1.0
            assert (await view.made(2, fleet.parts)).revision == 2

    asyncio.run(looked_at())
