"""Infos and reports of many devices, in bounded memory."""

from support.fleets import Voice

from edge_agent.wire.topics import Topics
from host_tools.dashboard.live.details import MOST_REPORTS, Details
from host_tools.fleet.reading import Said, read

TOPICS = Topics("t/board")


def said(message: tuple[str, bytes]) -> Said:
    found = read(TOPICS, *message)
    assert isinstance(found, Said)
    return found


def job(number: int) -> str:
    return f"{number:016x}"


def test_the_newest_reports_of_a_device_are_kept_whole() -> None:
    pi, details = Voice("pi-1", TOPICS), Details()
    order = [*range(1, 40, 2), *range(0, 40, 2)]
    for number in order:
        details.take(said(pi.report(job(number), started=f"2026-01-01T00:00:{number:02}Z", results={"n": number})))

    kept = details.reports("pi-1")
    assert [one.job for one in kept] == [job(number) for number in range(39, 39 - MOST_REPORTS, -1)]
    assert kept[0].results == {"n": 39}
    assert details.report("pi-1", job(0)) is None
    assert details.report("pi-2", job(39)) is None


def test_what_the_broker_no_longer_keeps_is_gone() -> None:
    pi, details = Voice("pi-1", TOPICS), Details()
    for message in (pi.info(cores=4), pi.report(job(1))):
        details.take(said(message))
    info = details.info("pi-1")
    assert info is not None
    assert info.cores == 4

    for topic, _ in (pi.info(), pi.report(job(1))):
        details.take(said((topic, b"")))
    assert (details.info("pi-1"), details.reports("pi-1")) == (None, [])


def test_no_fleet_takes_more_memory_than_there_is() -> None:
    details = Details(most_bytes=3000)
    for number in range(50):
        details.take(said(Voice(f"pi-{number}", TOPICS).report(job(number), message=f"{number}")))
    assert details.left_out > 0
    kept = [number for number in range(50) if details.report(f"pi-{number}", job(number))]
    assert 0 < len(kept) < 50

    for number in kept:
        details.take(said((TOPICS.device(f"pi-{number}", "job", job(number)), b"")))
    details.take(said(Voice("late", TOPICS).report(job(7))))
    assert details.report("late", job(7)) is not None
