"""When a person is told of a broker that is away: moments and events in, sentences out."""

import pytest

from host_tools.broker.outage import QUIET_S, Outage

Event = tuple[str, float]


def said(*events: Event, look: float = 0.25, until: float = 60.0) -> list[tuple[float, str]]:
    """What is said, and when, if somebody looks every ``look`` seconds."""
    outage, waiting, words = Outage(60.0), list(events), list[tuple[float, str]]()
    now = 0.0
    while now <= until:
        while waiting and waiting[0][1] <= now:
            match waiting.pop(0)[0]:
                case "left":
                    outage.left(now)
                case "owes":
                    outage.owes(now)
                case "returned":
                    words.append((now, outage.returned()))
                case "acknowledged":
                    words.append((now, outage.acknowledged(now)))
        words.append((now, outage.news(now, "connection refused")))
        now += look
    return [(at, word) for at, word in words if word]


def test_a_broker_that_goes_is_told_of_within_two_seconds_and_so_is_its_return() -> None:
    words = said(("left", 10.0), ("returned", 21.0))

    assert words == [
        (11.25, "the broker is away (connection refused); trying again for 60 s"),
        (21.0, "the broker is back"),
    ]


def test_a_broker_that_hangs_is_told_of_within_two_seconds() -> None:
    words = said(("owes", 10.0), ("acknowledged", 14.0))

    assert [at for at, _ in words] == [11.25, 14.0]
    assert words[0][1].startswith("the broker has acknowledged nothing for 1.2 s")
    assert words[1][1] == "the broker answers again"


@pytest.mark.parametrize("gone", [("left", "returned"), ("owes", "acknowledged")])
def test_a_moment_is_nobodys_business(gone: tuple[str, str]) -> None:
    assert said((gone[0], 10.0), (gone[1], 10.0 + QUIET_S - 0.25)) == []


def test_a_slow_link_is_no_outage_each_time() -> None:
    """Three seconds for each acknowledgement: remarked on once, then expected."""
    events = [(what, 3.0 * number) for number in range(1, 15) for what in ("acknowledged", "owes")]

    words = said(("owes", 0.0), *events[:-1])

    assert [at for at, _ in words] == [1.25, 3.0]


def test_a_link_of_six_seconds_is_learnt_after_a_few() -> None:
    events = [(what, 6.0 * number) for number in range(1, 9) for what in ("acknowledged", "owes")]

    words = said(("owes", 0.0), *events[:-1])

    assert words[-1][0] <= 18.0


@pytest.mark.parametrize(
    ("acknowledged_before", "told_after"),
    [(0, 5.0), (1, 1.25), (20, 1.25)],
    ids=["the first thing it does", "it has answered once", "it has answered often"],
)
def test_a_broker_that_hangs_again_is_told_of_as_soon(acknowledged_before: int, told_after: float) -> None:
    """A hang is no slow link: how long the first one took says nothing of when the second one is to be told of."""
    answered = [(what, 0.25 * number) for number in range(acknowledged_before) for what in ("owes", "acknowledged")]

    words = said(*answered, ("owes", 10.0), ("acknowledged", 20.0), ("owes", 30.0), ("acknowledged", 50.0))

    assert [at for at, _ in words] == [11.25, 20.0, 30.0 + told_after, 50.0]


def test_a_broker_that_hung_and_then_goes_is_told_of_twice() -> None:
    words = said(("owes", 0.0), ("left", 3.0), ("returned", 9.0), ("owes", 9.0), ("acknowledged", 9.1))

    assert [word.split(";")[0].split(" (")[0] for _, word in words] == [
        "the broker has acknowledged nothing for 1.2 s", "the broker is away", "the broker is back",
    ]  # fmt: skip
