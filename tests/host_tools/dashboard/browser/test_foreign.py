"""Whatever a device writes is shown as text: no script runs, no page breaks."""

from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, expect
from support.brokers import Broker
from support.browser import visiting
from support.dashboard_process import dashboard
from support.fleets import HOSTILE, Voice

from edge_agent.wire.messages import Refused
from edge_agent.wire.topics import Scope, Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.fleet.reading import Said, read

pytestmark = pytest.mark.external
JOB = "3f2a9c0d1e5b7a86"
EVIL = (
    HOSTILE + "'\"></title></textarea></script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    "<svg onload=alert(2)><a href=javascript:alert(3)>click</a>" + "\u202e\u2066" + "W" * 400
)


RESULTS = {
    EVIL: EVIL, "code": EVIL, "message": EVIL, "layers": [{"name": EVIL, "op": EVIL, "cause": EVIL}],
    "candidates": [{"method": EVIL, "code": EVIL, "gates": [{"name": EVIL, "passed": True}]}],
    "data": {"findings": [{"code": EVIL, "message": EVIL}]},
}  # fmt: skip
INFO = {
    "board": EVIL, "arch": EVIL, "cpu": EVIL + "W" * 9000, "python": EVIL, "agent_version": EVIL,
    "groups": [EVIL, "lab"],
    "runtimes": {EVIL: EVIL}, "formats": [EVIL], "confinement": [EVIL], "layers": {EVIL: [EVIL]},
    "sources": {EVIL: {"kind": EVIL, "channels": [EVIL], "rate_hz": EVIL, "shared": {EVIL: EVIL}}},
    "thermal": {EVIL: EVIL, "governor": EVIL}, "features": [EVIL], "left_out": [EVIL],
    "active": [
        {"model": "har", "version": 3, "job": EVIL, "verdict": EVIL, "runtime": EVIL},
        *({"model": name, "version": 3, "job": JOB, "verdict": ""} for name in (EVIL, "x, body", "<b>", "../..")),
    ],
}  # fmt: skip
REFUSED = Refused(model="har", job=EVIL, code=EVIL, message=EVIL)
MODEL = ("stage", "status", "code", "message", "verdict", "method", "runtime", "active_since", "job")
REPORT = ("stage", "status", "code", "message", "detail", "release", "started")


def say_everything(voice: Voice) -> dict[str, bytes]:
    """Every message of a device, and evil in every field of it that may hold words."""
    report = {**dict.fromkeys(REPORT, EVIL), "results": RESULTS, "seconds": {EVIL: 1.0}}
    messages = [
        voice.status(refused=REFUSED, refused_count=1, twin=EVIL),
        voice.info(**INFO),
        voice.model(**dict.fromkeys(MODEL, EVIL), previous_version=2, progress=0.5),
        voice.report(JOB, **report),
        voice.event(EVIL, message=EVIL, code=EVIL, severity="error", model="x, body", job=EVIL),
    ]
    return dict(messages)


def test_no_word_of_a_device_becomes_markup(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    topics = Topics(namespace)
    settings = Settings(url=one_broker.url, namespace=namespace)
    with (
        dashboard(one_broker, namespace, tmp_path, "--allow-commands", "--unsigned") as served,
        visiting(browser, served.url) as visit,
        Session(settings) as session,
    ):
        page = visit.go("/")
        for topic, payload in say_everything(Voice("pi-01", topics)).items():
            assert isinstance(read(topics, topic, payload), Said)
            session.publish(topic, payload, retain=not topic.endswith("/event"))
        session.publish(topics.device("pi-02", "info"), b"\xff" * 1000)
        refused = msgspec.structs.replace(REFUSED, model=EVIL)
        session.publish(*Voice("pi-02", topics).status(refused=refused), retain=True)
        session.publish(topics.want(Scope("d", "pi-01"), "har"), msgspec.json.encode({"payload": EVIL}))
        expect(page.get_by_role("link", name="pi-01")).to_be_visible()
        # What is said live is drawn by the stream, too, in the page that is open.
        session.publish(*Voice("pi-01", topics, boot_id="boot-2").info(**INFO | {"board": "drawn again"}))
        expect(page.get_by_role("row").filter(has_text="pi-01")).to_contain_text("drawn again")
        assert page.get_by_role("banner").is_visible(), "the page is still a page"
        for path in (
            "/", "/devices/pi-01", "/models/har", "/events", f"/jobs/pi-01/{JOB}", "/push?device=pi-01", "/orders",
            "/devices/pi-02", "/orders/new", "/orders/new?action=rollback&device=pi-01&model=har",
            "/orders/new?action=push&device=pi-01", f"/orders/new?action=cancel&device=pi-01&job={JOB}",
        ):  # fmt: skip
            page = visit.go(path)
            expect(page.get_by_role("contentinfo")).to_be_visible()
            assert page.title() != "owned", path
            assert page.locator("main script, main img, main a[href^='javascript']").count() == 0, path
            assert "\u202e" not in page.locator("main").inner_html(), path
            for width in (390, 1280):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_an_address_that_makes_no_sense_is_answered_with_a_page(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    queries = (
        "action=rollback&device=<script>", "action=push&device=pi-99", "action=x&device=..%2F..",
        "action=cancel&job=%00", "action=rollback&version=999999999999999999999&device=pi-01",
        "q=%3Cscript%3Ealert(1)%3C/script%3E",
    )  # fmt: skip
    with (
        dashboard(one_broker, namespace, tmp_path, "--allow-commands", "--unsigned") as served,
        visiting(browser, served.url) as visit,
    ):
        visit.expected += ["400"]
        for query in queries:
            page = visit.go(f"/orders/new?{query}")
            expect(page.get_by_role("contentinfo")).to_be_visible()
            page = visit.go(f"/?{query}")
            expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
