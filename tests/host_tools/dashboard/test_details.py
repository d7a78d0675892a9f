"""Infos and reports of many devices, in bounded memory."""

from support.fleets import Voice

from edge_agent.wire.topics import Topics
from host_tools.broker.packed import pack
from host_tools.dashboard.live.details import LEAST_REPORTS, MOST_REPORTS, Details
from host_tools.dashboard.live.sealed import head_in, info_in, report_in
from host_tools.fleet.reading import Said, read

TOPICS = Topics("t/board")


def said(message: tuple[str, bytes]) -> Said:
    found = read(TOPICS, *message)
    assert isinstance(found, Said)
    return found


def take(details: Details, message: tuple[str, bytes]) -> None:
    details.take(said(message), pack(message[1]))


def job(number: int) -> str:
    return f"{number:016x}"


def test_the_newest_reports_of_a_device_are_kept_whole() -> None:
    pi, details = Voice("pi-1", TOPICS), Details(TOPICS)
    order = [*range(1, 40, 2), *range(0, 40, 2)]
    for number in order:
        take(details, pi.report(job(number), started=f"2026-01-01T00:00:{number:02}Z", results={"n": number}))

    kept = details.reports("pi-1")
    assert [one.topic.rpartition("/")[2] for one in kept] == [
        job(number) for number in range(39, 39 - MOST_REPORTS, -1)
    ]
    sealed = details.report("pi-1", job(39))
    assert sealed is not None
    newest, head = report_in(sealed), head_in(sealed)
    assert newest is not None
    assert head is not None
    assert (head.job, head.results) == (newest.job, {})
    assert newest.results == {"n": 39}
    assert details.report("pi-1", job(0)) is None
    assert details.report("pi-2", job(39)) is None


def test_what_the_broker_no_longer_keeps_is_gone() -> None:
    pi, details = Voice("pi-1", TOPICS), Details(TOPICS)
    for message in (pi.info(cores=4), pi.report(job(1))):
        take(details, message)
    sealed = details.info("pi-1")
    assert sealed is not None
    info = info_in(sealed)
    assert info is not None
    assert report_in(sealed) is None
    assert info.cores == 4

    for topic, _ in (pi.info(), pi.report(job(1))):
        take(details, (topic, b""))
    assert (details.info("pi-1"), details.reports("pi-1")) == (None, [])


def test_of_a_large_fleet_each_device_has_its_newest_reports() -> None:
    details = Details(TOPICS, most_bytes=20_000)
    for device in range(12):
        pi = Voice(f"pi-{device:02}", TOPICS)
        for number in range(20):
            take(details, pi.report(job(number), started=f"2026-01-01T00:00:{number:02}Z"))

    kept = [[one.topic.rpartition("/")[2] for one in details.reports(f"pi-{device:02}")] for device in range(12)]
    assert len(kept[0]) == MOST_REPORTS
    assert kept[-1] == [job(number) for number in range(19, 19 - LEAST_REPORTS, -1)]
    assert details.left_out == 0


def test_no_fleet_takes_more_memory_than_there_is() -> None:
    details = Details(TOPICS, most_bytes=2000)
    for number in range(50):
        take(details, Voice(f"pi-{number}", TOPICS).report(job(number), message=f"{number}"))
    assert details.left_out > 0
    kept = [number for number in range(50) if details.report(f"pi-{number}", job(number))]
    assert 0 < len(kept) < 50

    for number in kept:
        details.take(said((TOPICS.device(f"pi-{number}", "job", job(number)), b"")), b"")
    take(details, Voice("late", TOPICS).report(job(7)))
    assert details.report("late", job(7)) is not None
