from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.brokers import Broker
from support.browser import visiting
from support.dashboard_process import dashboard
from support.device import DEMO_CHANNELS, DEMO_MODEL
from support.fake_device import FakeDevice

pytestmark = pytest.mark.external


def test_a_form_that_knows_the_devices_sources_describes_checks_and_sends_a_model(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    imu = {"imu": {"kind": "serial", "channels": DEMO_CHANNELS, "rate_hz": 50}}
    with (
        FakeDevice(one_broker.url, namespace, "pi-01", sources=imu) as device,
        dashboard(one_broker, namespace, tmp_path, "--allow-commands", "--unsigned") as served,
        visiting(browser, served.url) as visit,
    ):
        page = visit.go("/push?device=pi-01")
        assert not visit.axe()
        page.get_by_label("Model").set_input_files(DEMO_MODEL)
        page.get_by_role("button", name="Next").click()
        expect(page.get_by_label("Source")).to_have_value("imu")
        expect(page.get_by_label("Channels")).to_have_value("ax, ay, az, gx, gy, gz")
        expect(page.get_by_label("pi-01")).to_be_checked()
        assert not visit.axe()

        page.get_by_label("Channels").fill("ax, ay")
        page.get_by_role("button", name="Check").click()
        expect(page.get_by_role("alert")).to_contain_text("shape_mismatch: M.toml: a window of")
        expect(page.get_by_role("button", name="Send")).to_have_count(0)
        page.get_by_label("Channels").fill("")
        page.get_by_label("Name", exact=True).fill("har")
        page.get_by_role("button", name="Check").click()
        expect(page.get_by_role("status").filter(has_text="No problem was found")).to_contain_text("har 1")
        expect(page.get_by_label("The manifest, TOML")).to_have_value(
            'name = "har"\n\n[input]\nsource = "imu"\nwindow = { size = 100, hop = 50 }\n'
            'steps = [{ op = "transpose", axes = [1, 0] }]\n\n[output]\nkind = "classes"\n'
        )
        assert not device.wants
        assert not visit.axe()

        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("row").filter(has_text="broker")).to_contain_text("done")
        assert device.wanted.wait(60)
        assert [one.inputs[0].source for one in device.wants] == ["imu"]
        expect(page.get_by_role("row").filter(has_text="pi-01")).to_contain_text("waiting")
        assert served.stop() < 20

    assert not list(tmp_path.glob("edge-agent-dashboard-*"))


def test_a_manifest_that_names_a_file_of_this_host_is_refused(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    toml = tmp_path / "M.toml"
    toml.write_text(
        'name = "har"\n[input]\nsource = "imu"\nwindow = { size = 100, hop = 50 }\n[eval]\nfile = "/etc/passwd"\n'
    )
    with (
        FakeDevice(one_broker.url, namespace, "pi-01"),
        dashboard(one_broker, namespace, tmp_path, "--allow-commands", "--unsigned") as served,
        visiting(browser, served.url) as visit,
    ):
        page = visit.go("/push?device=pi-01")
        page.get_by_label("Model").set_input_files(DEMO_MODEL)
        page.get_by_label("Manifest, if you have one").set_input_files(toml)
        page.get_by_role("button", name="Next").click()
        page.get_by_role("button", name="Check").click()
        expect(page.get_by_role("alert")).to_contain_text("leave [eval] out")
