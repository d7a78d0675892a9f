"""Logging in, as far as no browser is needed: what is said, what is logged, where it leads."""

import re

import pytest
from starlette.applications import Starlette
from support.asgi import Answered, ask
from support.dashboards import NAMESPACE, local_access

from edge_agent.wire.topics import Topics
from host_tools.broker.settings import Settings
from host_tools.dashboard.access.access import Access
from host_tools.dashboard.access.attempts import AT_ONCE
from host_tools.dashboard.access.exposure import Exposure
from host_tools.dashboard.access.record import Record
from host_tools.dashboard.access.users import Users
from host_tools.dashboard.app import build
from host_tools.dashboard.context import Context
from host_tools.dashboard.live.watching import Watched

HOST = {"host": "dash.lan"}
CHEAP = "scrypt:2:8:1:YSBjaGVhcCBzYWx0IG5vdw==:wzCKjYOzPKdK4XwUhCwr7uqbrZKX4c/zEgXQRmWU8b4="
"""A hash of ``correct horse`` that takes no time."""


def served(access: Access) -> Starlette:
    watched = Watched(Topics(NAMESPACE), print)
    settings = Settings(url="mqtt://127.0.0.1:9", namespace=NAMESPACE)
    return build(Context(settings, watched, watched.recent, access))


def with_anna() -> tuple[Starlette, list[str]]:
    """An application that anna may log in to, and its log."""
    said: list[str] = []
    exposure = Exposure(names=frozenset({"dash.lan"}), secure=True)
    return served(
        Access(exposure=exposure, users=Users({"anna": ("operator", CHEAP)}), record=Record(said.append))
    ), said


def log_in(app: Starlette, name: str, password: str, there: str = "") -> Answered:
    seen = ask(app, "/login", headers=HOST, scheme="https")
    token = re.search(r'name="csrf" value="(\w+)"', seen.body)
    assert token
    form = {"csrf": token[1], "name": name, "password": password, "next": there}
    return ask(app, "/login", headers={**HOST, "cookie": seen.cookie}, form=form, scheme="https")


def test_who_logs_in_goes_on_to_where_they_wanted_and_is_logged() -> None:
    app, said = with_anna()

    answer = log_in(app, "anna", "correct horse", "/orders?q=1")

    assert (answer.status, answer.header("location")) == (303, "/orders?q=1")
    assert answer.cookie.startswith("__Host-edge-agent=")
    seen = ask(app, "/login", headers={**HOST, "cookie": answer.cookie}, scheme="https")
    assert "anna is logged in" in seen.body
    assert said == ["anna has logged in from 127.0.0.1 as operator"]


@pytest.mark.parametrize("there", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:x", ""])
def test_nobody_is_led_elsewhere(there: str) -> None:
    assert log_in(with_anna()[0], "anna", "correct horse", there).header("location") == "/"


def test_too_many_attempts_are_logged_and_what_was_wanted_is_kept() -> None:
    app, said = with_anna()

    for _ in range(AT_ONCE):
        assert log_in(app, "\nanna\x1b[31m", "x" * 2000).status == 403
    answer = log_in(app, "anna", "correct horse", "/events")

    assert (answer.status, 'name="next" value="/events"' in answer.body) == (429, True)
    assert int(answer.header("retry-after")) > 0
    assert len(said) == AT_ONCE + 1
    assert all(line.isprintable() for line in said)
    assert "wrong name or password" in said[0]
    assert said[-1] == "login as anna from 127.0.0.1 was refused: too many attempts"


def test_a_page_without_people_has_no_form_to_log_in() -> None:
    answer = ask(served(local_access()), "/login")

    assert (answer.status, "This page needs no login" in answer.body) == (200, True)
    assert "<form" not in answer.body
