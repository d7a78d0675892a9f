from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.brokers import Broker
from support.browser import Visit, visiting
from support.certificates import write_certificate
from support.dashboard_process import Dashboard, dashboard
from support.fake_device import FakeDevice
from support.host import MANIFEST

from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import MANIFEST_TYPE, unseal
from edge_agent.wire.telemetry import ModelState
from edge_agent.wire.topics import Scope
from host_tools.broker.settings import Settings
from host_tools.dashboard.access.users import Users, write_users
from host_tools.display.progress import LineDisplay
from host_tools.push.push import PushRequest, push

pytestmark = pytest.mark.external


def runs(device: FakeDevice, version: int, previous: int = 0, **more: float) -> None:
    """Have the device say that it runs this version of har."""
    state = ModelState(
        device=device.id, model="har", active_version=version, previous_version=previous, status="succeeded",
        p50_ms=more.get("p50_ms"), agreement=more.get("agreement"), boot_id="boot-1", seq=100,
    )  # fmt: skip
    device.say("model", "har", state)


@contextmanager
def commanding(
    browser: Browser, broker: Broker, namespace: str, folder: Path, *options: str | Path
) -> Iterator[tuple[Dashboard, Visit]]:
    with (
        dashboard(broker, namespace, folder, "--allow-commands", "--unsigned", *options) as served,
        visiting(browser, served.url) as visit,
    ):
        yield served, visit


def select(page: Page, *devices: str) -> None:
    for name in devices:
        page.get_by_label(f"Select {name}").check()


def test_a_rollback_of_selected_devices_names_both_versions_and_is_logged(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    with (
        FakeDevice(one_broker.url, namespace, "pi-01", done=("", "har 2 is active again")) as first,
        FakeDevice(one_broker.url, namespace, "pi-02", done=("no_previous", "no release before 5")) as second,
        FakeDevice(one_broker.url, namespace, "pi-03"),
        commanding(browser, one_broker, namespace, tmp_path) as (served, visit),
    ):
        chosen = {"chosen": {"latency_p50_ms": 2.5, "agreement": 0.991}}
        first.report("b" * 16, version=2, status="succeeded", results=chosen, started="2026-01-01T00:00:00Z")
        runs(first, 3, previous=2, p50_ms=1.25, agreement=0.987)
        runs(second, 5, previous=4)
        page = visit.go("/")
        select(page, "pi-01", "pi-02", "pi-03")
        page.get_by_role("button", name="Roll back").click()

        dialog = page.get_by_role("dialog", name="Roll back har on 2 devices?")
        expect(dialog.get_by_role("row").filter(has_text="pi-01")).to_contain_text("31.25 ms98.7 %22.50 ms99.1 %")
        expect(dialog.get_by_role("row").filter(has_text="pi-03")).to_contain_text("left out: runs no har")
        expect(dialog.get_by_role("code").first).to_contain_text("rollback har --version 3 --device pi-01")
        assert not visit.axe()
        assert not first.commands

        dialog.get_by_role("button", name="Roll back").click()
        expect(page.get_by_role("row").filter(has_text="rollback har 3")).to_contain_text("1 device done")
        expect(page.get_by_role("row").filter(has_text="rollback har 5")).to_contain_text("1 device failed")
        assert not visit.axe()
        page.get_by_role("link", name="rollback har 5").click()
        expect(page.get_by_role("row").filter(has_text="pi-02")).to_contain_text("no release before 5")

    assert [(one.action, one.version) for one in first.commands] == [("rollback", 3)]
    assert [(one.action, one.version) for one in second.commands] == [("rollback", 5)]
    assert "local orders rollback har 3 for d/pi-01" in served.said
    assert "pi-01 answers done: har 2 is active again" in served.said
    assert "pi-02 answers no_previous: no release before 5" in served.said


def test_a_version_that_the_broker_has_is_pushed_to_another_device(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    model, manifest = tmp_path / "har.onnx", tmp_path / "har.toml"
    model.write_bytes(bytes(range(256)) * 1000)
    manifest.write_text(MANIFEST, encoding="utf-8")
    settings = Settings(url=one_broker.url, namespace=namespace)
    with (
        FakeDevice(one_broker.url, namespace, "pi-01") as first,
        FakeDevice(one_broker.url, namespace, "pi-02") as second,
        commanding(browser, one_broker, namespace, tmp_path) as (_, visit),
    ):
        request = PushRequest(model=model, manifest=manifest, scopes=[Scope("d", "pi-01")], wait=False)
        push(settings, request, LineDisplay())
        page = visit.go("/")
        select(page, "pi-02")
        page.get_by_role("button", name="Push a version").click()
        page.get_by_label("har 1").check()
        page.get_by_role("button", name="Next").click()
        expect(page.get_by_role("dialog", name="Push har 1 to d/pi-02?")).to_be_visible()
        page.get_by_role("button", name="Push").click()
        expect(page.get_by_role("heading", name="push har 1")).to_be_visible()
        assert second.wanted.wait(60)
        job = job_id(content_digest(unseal(second.envelopes[0], MANIFEST_TYPE).content()))
        second.report(job, status="rejected", code="agreement_low", message="14 of 300 windows disagree")
        expect(page.get_by_role("row").filter(has_text="pi-02")).to_contain_text("14 of 300 windows disagree")

    assert [(one.version, one.targets) for one in second.wants] == [(1, ["d/pi-02"])]
    assert first.wants[0].blob == second.wants[0].blob


def test_a_viewer_sees_the_command_and_cannot_give_it(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    users = tmp_path / "users"
    people = Users({}).with_one("shop", "viewer", "battery staple").with_one("anna", "operator", "correct horse")
    write_users(users, people)
    with (
        FakeDevice(one_broker.url, namespace, "pi-01") as device,
        commanding(browser, one_broker, namespace, tmp_path, "--users", users) as (served, visit),
    ):
        runs(device, 3, previous=2)
        visit.expected += ["403"]
        page = visit.go("/orders/new?action=rollback&device=pi-01&model=har")
        visit.log_in("shop", "wrong password")
        expect(page.get_by_role("alert")).to_contain_text("The name or the password is wrong")
        assert not visit.axe()
        visit.log_in("shop", "battery staple")
        expect(page.get_by_role("dialog")).to_contain_text("shop may read, but not send orders")
        expect(page.get_by_role("code").first).to_contain_text("rollback har --version 3 --device pi-01")
        expect(page.get_by_role("button", name="Roll back")).to_have_count(0)
        forged = "f => fetch('/orders', {method: 'POST', body: new URLSearchParams(f)}).then(r => r.status)"
        token = page.locator("input[name=csrf]").first.input_value()
        fields = {"csrf": token, "action": "rollback", "model": "har", "target": "3:pi-01"}
        assert page.evaluate(forged, fields) == 403

        page.get_by_role("link", name="shop").click()
        page.get_by_role("button", name="Log out").click()
        visit.log_in("anna", "correct horse")
        page.goto(visit.url + "/orders/new?action=rollback&device=pi-01&model=har")
        page.get_by_role("button", name="Roll back").click()
        expect(page.get_by_role("row").filter(has_text="pi-01")).to_contain_text("done")

    assert len(device.commands) == 1
    assert "anna orders rollback har 3" in served.said


def test_over_tls_a_browser_keeps_its_cookie_for_this_page_alone(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    write_certificate(tmp_path)
    users = tmp_path / "users"
    write_users(users, Users({}).with_one("anna", "operator", "correct horse"))
    secure = ("--users", users, "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    with commanding(browser, one_broker, namespace, tmp_path, *secure) as (served, visit):
        assert served.url.startswith("https://")
        visit.go("/events?severity=error")
        visit.log_in("anna", "correct horse")
        expect(visit.page.get_by_role("heading", name="Events")).to_be_visible()
        (cookie,) = (one for one in visit.context.cookies() if not one["name"].endswith("-form"))
        assert cookie["name"] == "__Host-edge-agent"
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
        assert "severity=error" in visit.page.url
