"""Pages as a browser gets them, of a fleet that says what we want."""

import csv
import io
import json
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from support.dashboards import Dashboard, Page, dashboard
from support.fleets import HOSTILE, JOB, eventually

from edge_agent.wire.messages import DeviceStatus, Refused, encode
from host_tools.broker.packed import pack, unpack
from host_tools.dashboard.live import sealed, stream, watching


@pytest.fixture(scope="module")
def board() -> Iterator[Dashboard]:
    """A dashboard with three devices; no test changes what they say."""
    with dashboard() as one:
        pi, orin, old = one.voice("pi-1"), one.voice("orin-1"), one.voice("old-1")
        shared = {"kind": "iio", "channels": ["ax", "ay"], "rate_hz": 50, "shared": SHARED}
        one.keep(
            pi.status(),
            pi.info(cpu="Cortex-A72", cores=4, runtimes={"onnxruntime": "1.32.0"}, sources={"imu": shared}),
            pi.model(previous_version=6),
            pi.report(started="2026-03-01T12:00:00Z", seconds={"capture": 60.0}),
            pi.report("b" * 16, version=6, started="2026-02-01T12:00:00Z"),
            orin.status(online=False),
            orin.info(board="Orin Nano", groups=["plant"]),
            orin.model(active_version=6, job_version=7, status="rejected", code="latency_too_high", verdict="rejected"),
            orin.report("c" * 16, status="rejected", code="latency_too_high", message="int8 is slower"),
            (one.topics.device("old-1", "status"), encode(refusing())),
            old.info(agent_version="0.1.4", active=[], highest={"kws": 2}),
            old.report("d" * 16, model="kws", version=2, stage="capture", status="in_progress", progress=0.5),
        )
        one.hear(pi.health(throttled=True), pi.sample(p50_ms=6.0), pi.event("throttled", severity="warning"))
        one.hear(orin.event("rejected", severity="warning", code="latency_too_high", model="har", job="c" * 16))
        yield one


SHARED = {"state": "silent", "message": "nothing comes", "rate_hz": 49.5, "gaps": 3, "wanted": 40, "kept": 12}


def refusing() -> DeviceStatus:
    return DeviceStatus(device="old-1", online=True, refused=Refused("kws", "", "untrusted", "nobody signed it"))


def page_of(board: Dashboard, path: str) -> Page:
    answer = board.get(path)
    assert answer.status == 200, answer.text
    return Page(answer.text)


def test_the_fleet_has_a_row_a_model_and_counters(board: Dashboard) -> None:
    page = page_of(board, "/")

    rows = [attributes["id"] for attributes in page.all("tr") if "id" in attributes]
    assert rows == ["row-old-1-M-kws", "row-orin-1-M-har", "row-pi-1-M-har"]
    for words in (
        "Raspberry Pi 4",
        "Orin Nano",
        "rejected latency_too_high",
        "refused untrusted",
        "throttled",
        "offline",
    ):
        assert words in page.text
    hidden = [one for one in page.all("input") if one.get("type") == "checkbox"]
    assert [one["value"] for one in hidden] == ["old-1", "orin-1", "pi-1"]


def test_the_address_of_the_fleet_has_its_state(board: Dashboard) -> None:
    page = page_of(board, "/?q=har&state=quiet&sort=-device")

    assert [one["id"] for one in page.all("tr") if "id" in one] == ["row-orin-1-M-har"]
    (live,) = (one["hx-sse:connect"] for one in page.all("div") if "hx-sse:connect" in one)
    assert live == "/live?q=har&state=quiet&sort=-device&view=fleet"
    (head,) = (one for one in page.all("th") if one.get("aria-sort"))
    assert head["aria-sort"] == "descending"
    assert "No device matches." in page_of(board, "/?q=nothing-like-it").text


def test_a_device_says_what_it_is_how_it_is_and_what_it_runs(board: Dashboard) -> None:
    text = page_of(board, "/devices/pi-1").text

    for words in ("Cortex-A72", "onnxruntime 1.32.0", "51.5 °C", "49.5 of 50 Hz", "12 of 40 segments", "nothing comes"):
        assert words in text
    assert "6.00 ms" in text
    assert "3.00 ms" in text, "what the verdict promised"
    assert "The processor is slowed down." in text
    links = [one.get("href") for one in page_of(board, "/devices/pi-1").all("a")]
    assert "/orders/new?action=rollback&device=pi-1&model=har" in links
    assert f"/jobs/pi-1/{JOB}" in links


def test_each_refusal_comes_with_what_to_do(board: Dashboard) -> None:
    text = page_of(board, "/devices/old-1").text
    assert "nobody signed it" in text
    assert "To do:" in text

    assert "int8 is slower" in page_of(board, "/devices/orin-1").text


def test_a_model_is_compared_across_devices_and_boards(board: Dashboard) -> None:
    page = page_of(board, "/models/har")

    assert "Version 7:" in page.text
    for words in ("1 accepted", "1 rejected", "latency_too_high", "1 on Orin Nano"):
        assert words in page.text
    assert page.text.count("Raspberry Pi 4") == 2, "by board and by device"


def test_events_are_the_newest_first_and_by_severity(board: Dashboard) -> None:
    told = json.loads(board.get("/events?format=json").body)

    assert [one["kind"] for one in told] == ["rejected", "throttled"]
    assert "latency_too_high" in page_of(board, "/events?severity=warning&q=orin").text
    assert json.loads(board.get("/events?format=json&severity=error").body) == []


def test_each_view_is_there_as_json_and_csv(board: Dashboard) -> None:
    fleet = json.loads(board.get("/?format=json&q=pi-1").body)
    assert [(one["device"], one["version"], one["throttled"]) for one in fleet] == [("pi-1", 7, True)]
    for path in ("/", "/devices/pi-1", "/models/har", "/events"):
        answer = board.get(f"{path}?format=csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert answer.headers["Content-Type"].startswith("text/csv")
        assert rows
        assert "pi-1" in {row["device"] for row in rows}
    device = json.loads(board.get("/devices/pi-1?format=json").body)
    assert device["info"]["cores"] == 4
    assert [job["version"] for job in device["jobs"]] == [7, 6]


def test_what_nobody_knows_is_not_found(board: Dashboard) -> None:
    for path in (
        "/devices/none",
        "/models/none",
        "/nothing",
        "/live?view=none",
        "/static/../app.py",
        "/static/none.js",
    ):
        assert board.get(path).status == 404, path


def test_every_answer_holds_the_browser_to_what_this_server_has(board: Dashboard) -> None:
    paths = ["/", "/devices/pi-1", "/models/har", "/events", "/nothing", "/?format=json"]
    page = page_of(board, "/devices/pi-1")
    static = [str(one["src"]) for one in page.all("script")]
    static += [str(one["href"]) for one in page.all("link")]
    assert len(static) == 9
    for path in (*paths, *static):
        headers = board.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == ("public, max-age=31536000, immutable" if path in static else "no-store")
    for path in paths:
        found = Page(board.get(path).text).elements
        assert not [tag for tag, attributes in found if "style" in attributes or tag == "style"]
        assert not [attributes for tag, attributes in found if tag == "script" and "src" not in attributes]


def test_a_page_is_compressed_and_small(board: Dashboard) -> None:
    page = page_of(board, "/devices/pi-1")
    loaded = [str(one["src"]) for one in page.all("script")] + [str(one["href"]) for one in page.all("link")]

    total = sum(len(board.get(path, Accept_Encoding="gzip").body) for path in loaded)
    assert total < 100_000


def test_nothing_that_a_device_writes_is_an_element() -> None:
    much = 1e308
    evil = HOSTILE + "</td></tr></script><img src=x onerror=alert(1)>" + "\u202e" + "x" * 3000
    with dashboard() as board:
        pi = board.voice("pi-1")
        board.keep(
            pi.status(),
            pi.info(
                board=evil,
                arch=evil,
                agent_version=evil,
                groups=[evil, "="],
                cpu=evil,
                python=evil,
                runtimes={evil: evil},
                formats=[evil],
                confinement=[evil],
                sources={
                    evil: {"kind": evil, "channels": [evil, {"a": evil}], "rate_hz": evil, "shared": {"state": evil}}
                },
                active=[
                    {"model": name, "version": 1, "job": "j", "verdict": "?"} for name in ("x, body", "<b>", "../x")
                ],
            ),
            pi.model(
                method=evil, runtime=evil, code=evil, message=evil, status=evil, stage=evil, verdict=evil, p50_ms=1e308
            ),
            pi.model(
                "kws", status="rejected", code=evil, active_since=evil, p50_ms=-5.0, agreement=1e300, progress=9e99
            ),
            pi.report(stage=evil, status=evil, code=evil, message=evil, detail=evil, started=evil, release=evil),
            pi.report("b" * 16, status="in_progress", progress=-1e308, stage=evil, detail=evil, seconds={evil: much}),
            pi.report("c" * 16, started="9999-12-31T23:59:59Z", version=2**62),
        )
        board.hear(
            pi.health(temperature_c=1e308, uptime_s=1e300, clock_hz=-1.0, cpu_share=1e9),
            pi.sample(runtime=evil, p50_ms=1e308),
            pi.event(evil, code=evil, message=evil, model="har", job=JOB),
            pi.event("x", model=evil, job=evil),
        )  # fmt: skip
        for path in ("/", "/devices/pi-1", "/models/har", "/models/kws", "/events"):
            page = page_of(board, path)
            assert "evil" in page.text
            assert not page.all("img")
            assert all("src" in one for one in page.all("script"))
            assert not [name for _, about in page.elements for name in about if name.startswith("on")]
            assert all("\u202e" not in str(value) for _, about in page.elements for value in about.values())
            assert "\u202e" not in page.text
            for one in page.all("a"):
                assert str(one["href"]).startswith(("/", "#")), one
        rows = [str(one["id"]) for one in page_of(board, "/").all("tr") if "id" in one]
        assert rows == ["row-pi-1-M-har", "row-pi-1-M-kws"]
        for path in ("/", "/devices/pi-1", "/models/har", "/events"):
            lines = list(csv.reader(io.StringIO(board.get(f"{path}?format=csv").text)))
            assert not [cell for line in lines for cell in line if cell.startswith(("=", "@"))]


def test_before_the_broker_was_read_a_page_says_so_and_values_stay_when_it_goes() -> None:
    with dashboard() as board:
        assert "Reading what the broker keeps" in page_of(board, "/").text
        board.keep(board.voice("pi-1").status())
        assert "The broker" not in page_of(board, "/").text

        board.watched.connected(up=False)
        page = page_of(board, "/")
        assert "The broker has been away since" in page.text
        assert [one["id"] for one in page.all("tr") if "id" in one] == ["row-pi-1-M-"]


def test_others_need_not_wait_while_a_message_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    with dashboard() as board:
        lock = board.watched._lock
        monkeypatch.setattr(sealed, "unpack", lambda packed: (reads.append(lock.locked()), unpack(packed))[1])
        monkeypatch.setattr(watching, "pack", lambda payload: (reads.append(lock.locked()), pack(payload))[1])
        pi = board.voice("pi-1")
        board.keep(pi.status(), pi.report(message="unique to this test"))
        board.hear(pi.info(cpu="unique to this test"))

        for _ in range(3):
            assert board.get("/devices/pi-1").status == board.get(f"/jobs/pi-1/{JOB}").status == 200
    assert reads == [False] * 4, "the info is packed; it, the report and its head are read once"


def test_so_many_streams_are_open_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_STREAMS", 2)
    with dashboard() as board:
        board.keep(board.voice("pi-1").status())
        with board.stream("view=fleet"), board.stream("view=events"):
            with pytest.raises(HTTPError, match="503"), board.stream("view=fleet"):
                pass
            assert board.get("/").status == 200

        def there_is_room() -> bool:
            try:
                with board.stream("view=fleet"):
                    return True
            except HTTPError:
                return False

        eventually(there_is_room, 60)
