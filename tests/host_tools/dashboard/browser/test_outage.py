from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.brokers import MosquittoBroker
from support.browser import visiting
from support.dashboard_process import dashboard
from support.fleets import Voice

from edge_agent.wire.topics import Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings

pytestmark = [pytest.mark.external, pytest.mark.mosquitto]


def test_a_broker_that_goes_and_returns_is_told_of_and_nothing_goes_blank(
    browser: Browser, mosquitto: MosquittoBroker, namespace: str, tmp_path: Path
) -> None:
    voice = Voice("pi-01", Topics(namespace))
    settings = Settings(url=mosquitto.url, namespace=namespace)
    with Session(settings) as session:
        for topic, payload in (voice.status(), voice.info(), voice.model()):
            session.publish(topic, payload)
    with (
        dashboard(mosquitto, namespace, tmp_path) as served,
        visiting(browser, served.url) as visit,
    ):
        page = visit.go("/")
        row = page.get_by_role("row").filter(has_text="pi-01")
        expect(row).to_contain_text("Raspberry Pi 4")

        mosquitto.stop()
        expect(page.get_by_role("status").filter(has_text="The broker has been away")).to_be_visible()
        expect(row).to_contain_text("Raspberry Pi 4")
        assert not visit.axe()
        mosquitto.start()
        expect(page.get_by_text("The broker has been away")).to_have_count(0)
        with Session(settings) as session:
            session.publish(*voice.info(board="Jetson Orin Nano"))
        expect(row).to_contain_text("Jetson Orin Nano")
