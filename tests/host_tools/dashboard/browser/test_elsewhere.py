"""Another site in the same browser: its links lead here, and its forms do nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.brokers import Broker
from support.browser import visiting
from support.dashboard_process import dashboard
from support.fake_device import FakeDevice

from host_tools.dashboard.access.users import Users, write_users

pytestmark = pytest.mark.external


@contextmanager
def another_site(page: str) -> Iterator[str]:
    """A site of one page, by another name than the dashboard's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_words: object) -> None:  # type: ignore[override]  # it says nothing
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_link_from_another_site_leaves_a_person_logged_in_and_a_form_from_there_does_nothing(
    browser: Browser, one_broker: Broker, namespace: str, tmp_path: Path
) -> None:
    users = tmp_path / "users"
    write_users(users, Users({}).with_one("anna", "operator", "correct horse"))
    with (
        FakeDevice(one_broker.url, namespace, "pi-01") as device,
        dashboard(one_broker, namespace, tmp_path, "--allow-commands", "--unsigned", "--users", users) as served,
        visiting(browser, served.url) as visit,
    ):
        visit.expected += ["asked http://localhost", "403", "401", "404"]  # the last two: pages that name no icon
        page = visit.page
        fields = {"action": "forget", "model": "har", "target": "3:pi-01"}
        inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
        form = f'<form action="{served.url}/orders" method="post">{inputs}<button>Win</button></form>'
        with another_site(f'<title>x</title><a href="{served.url}/events">Look</a>{form}') as site:
            page.goto(site)
            page.get_by_role("link", name="Look").click()
            visit.log_in("anna", "correct horse")  # who has no cookie yet comes to the login, and on from there
            expect(page.get_by_role("heading", name="Events")).to_be_visible()

            page.goto(site)
            page.get_by_role("link", name="Look").click()
            expect(page.get_by_role("heading", name="Events")).to_be_visible()
            expect(page.get_by_role("link", name="anna")).to_be_visible()

            page.goto(site)
            page.get_by_role("button", name="Win").click()
            expect(page.get_by_text("this form comes from another site")).to_be_visible()
        visit.go("/")
        expect(page.get_by_role("link", name="anna")).to_be_visible()
    assert not device.commands
