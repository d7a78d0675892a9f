"""The stream of a page in a browser: what changes, what a person has begun, and a tab that is hidden."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.brokers import Broker
from support.browser import visiting
from support.dashboard_process import dashboard
from support.fleets import Voice, speaking

from edge_agent.wire.topics import Topics

pytestmark = pytest.mark.external

HIDDEN = 'Object.defineProperty(document, "hidden", {configurable: true, get: () => true});'
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_hidden_tab_closes_its_stream_and_catches_up_and_what_was_chosen_stays(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    pi, orin = Voice("pi-01", Topics(namespace)), Voice("orin-01", Topics(namespace))
    with (
        dashboard(one_broker, namespace, tmp_path) as served,
        visiting(browser, served.url) as visit,
        speaking(one_broker.url, namespace) as say,
    ):
        say(pi.status(), pi.info(), pi.model(), orin.status(), orin.info(), orin.model(), retain=True)
        page = visit.go("/")
        row = page.get_by_role("row").filter(has_text="pi-01")
        expect(row).to_contain_text("succeeded")
        row.get_by_role("checkbox").check()
        page.keyboard.press("/")
        expect(page.get_by_role("searchbox")).to_be_focused()

        say(pi.model(status="in_progress", stage="capture", progress=0.25), retain=True)
        expect(row).to_contain_text("25%")
        expect(row.get_by_role("checkbox")).to_be_checked()
        expect(page.get_by_role("searchbox")).to_be_focused()

        page.evaluate(HIDE, arg=True)
        page.wait_for_function("() => document.querySelector('#live')._htmx.sse.reader === null")
        say(pi.model(status="in_progress", stage="validate", progress=0.75), orin.status(online=False), retain=True)
        with page.expect_request("**/live?**"):
            page.evaluate(HIDE, arg=False)
        expect(row).to_contain_text("75%")
        expect(page.get_by_role("row").filter(has_text="orin-01")).to_contain_text("offline")
        expect(row.get_by_role("checkbox")).to_be_checked()


def test_a_tab_that_was_opened_in_the_background_asks_for_its_stream_once_it_is_looked_at(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    pi = Voice("pi-01", Topics(namespace))
    with (
        dashboard(one_broker, namespace, tmp_path) as served,
        visiting(browser, served.url) as visit,
        speaking(one_broker.url, namespace) as say,
    ):
        asked: list[str] = []
        visit.page.on("request", lambda request: asked.append(request.url))
        visit.page.add_init_script(HIDDEN)
        visit.page.add_init_script("document.addEventListener('htmx:before:request', () => { window.begun = true; });")
        page = visit.go("/")
        page.wait_for_function("() => window.begun")
        say(pi.status(), pi.info(), retain=True)
        assert not [url for url in asked if "/live" in url]

        with page.expect_request("**/live?**"):
            page.evaluate(HIDE, arg=False)
        expect(page.get_by_role("row").filter(has_text="pi-01")).to_be_visible()
        say(pi.status(online=False), retain=True)
        expect(page.get_by_role("row").filter(has_text="pi-01")).to_contain_text("offline")
        assert len([url for url in asked if "/live" in url]) == 1
