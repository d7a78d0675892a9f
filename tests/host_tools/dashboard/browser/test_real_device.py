"""What a person does at the page, with a real agent behind a real broker: every button is obeyed."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.brokers import Broker
from support.browser import Visit, visiting
from support.dashboard_process import dashboard
from support.device import DEMO_MODEL, Device

from host_tools.broker.signing import generate_key
from host_tools.demo.simulator import SerialImu

pytestmark = [pytest.mark.external, pytest.mark.slow, pytest.mark.children(covered=False)]

JOB_MS = 240_000.0
MORE = """[recipe]
method = "uniform"
calibration_windows = 60
search_windows = 60
heldout_windows = 100
search_budget_s = 2
[gates]
max_latency_ratio = 0
min_agreement = 0.7
"""


def push(visit: Visit) -> Page:
    """The demo's model, described by the form; ends on the order's page."""
    page = visit.go("/push?device=pi-01")
    page.get_by_label("Model").set_input_files(DEMO_MODEL)
    page.get_by_role("button", name="Next").click()
    page.get_by_label("More tables").fill(MORE)
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Send").click()
    return page


def confirm(page: Page, text: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=text).click()


@pytest.mark.mosquitto
def test_every_button_is_obeyed_by_a_real_device(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    keys, key = tmp_path / "keys", tmp_path / "operator.key"
    keys.mkdir()
    generate_key(key, keys / "operator.pem")
    trust = {"allow_unsigned": False, "keys_dir": str(keys)}
    with (
        Device(tmp_path, one_broker.url, namespace, trust=trust) as device,
        dashboard(one_broker, namespace, tmp_path, "--allow-commands", "--sign", key) as served,
        visiting(browser, served.url) as visit,
    ):
        with SerialImu(device.port):
            page = push(visit)
            page.get_by_role("link", name="Follow the job").click()
            # The page was opened while the job runs, and is not loaded again.
            expect(page.locator("#job")).to_contain_text("accepted", timeout=JOB_MS)
            assert page.locator("#result").inner_text()
            assert not visit.axe()
            push(visit)
            expect(page.get_by_role("row").filter(has_text="pi-01")).to_contain_text("done", timeout=JOB_MS)
            assert (device.active() or {})["version"] == 2

        visit.go("/devices/pi-01")
        page.get_by_role("link", name="Roll back to 1").click()
        expect(page.get_by_role("dialog")).to_contain_text("Roll back har on 1 device?")
        confirm(page, "Roll back")
        expect(page.get_by_role("row").filter(has_text="pi-01")).to_contain_text("har 1 is active again")
        assert (device.active() or {})["version"] == 1

        with SerialImu(device.port, pace="real"):
            page = visit.go("/")
            page.get_by_label("Select pi-01").check()
            page.get_by_role("button", name="Recalibrate").click()
            confirm(page, "Recalibrate")
            answer = page.get_by_role("row").filter(has_text="recalibrates har 1")
            expect(answer).to_be_visible()
            found = re.search(r"job ([0-9a-f]{16})", answer.inner_text())
            assert found
            visit.go(f"/jobs/pi-01/{found[1]}")
            page.get_by_role("link", name="Cancel").click()
            confirm(page, "Cancel")
            expect(page.get_by_role("row").filter(has_text="pi-01")).to_contain_text("is canceled")

        for path in ("/", "/devices/pi-01", "/models/har", "/events", "/orders", f"/jobs/pi-01/{found[1]}"):
            visit.go(path)
            assert not visit.axe(), path
        assert served.stop() < 20
