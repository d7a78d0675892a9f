from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.brokers import Broker
from support.browser import visiting
from support.dashboard_process import dashboard
from support.fake_device import FakeDevice

pytestmark = pytest.mark.external


def test_a_device_that_comes_is_shown_while_the_page_is_open(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    with (
        dashboard(one_broker, namespace, tmp_path) as served,
        visiting(browser, served.url) as visit,
    ):
        page = visit.go("/")
        expect(page.get_by_role("heading", name="Fleet")).to_be_visible()

        with FakeDevice(one_broker.url, namespace, "pi-01"):
            expect(page.get_by_role("link", name="pi-01")).to_be_visible()
            assert not visit.axe()
