"""Every form of the application, those of pages that come later too: who may send it, and who may not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from support.asgi import Answered, ask
from support.dashboards import NAMESPACE

from edge_agent.wire.topics import Topics
from host_tools.broker.settings import Settings
from host_tools.dashboard.access.access import Access
from host_tools.dashboard.access.exposure import Exposure
from host_tools.dashboard.access.guard import LOGIN, LOGOUT, UPLOADS
from host_tools.dashboard.access.record import Record
from host_tools.dashboard.access.users import Users
from host_tools.dashboard.access.viewer import Role, Viewer
from host_tools.dashboard.app import build
from host_tools.dashboard.context import Context
from host_tools.dashboard.live.watching import Watched
from host_tools.dashboard.orders.commander import Commander

HOST = {"host": "dash.lan"}
_NEITHER = (401, 403)


def posted() -> Iterator[str]:
    """The address of every route that takes a form."""
    for route in served(with_people()).routes:
        if isinstance(route, Route) and "POST" in (route.methods or ()):
            yield re.sub(r"{.*?}", "x", route.path)


def with_people() -> Access:
    exposure = Exposure(names=frozenset({"dash.lan"}), secure=True)
    return Access(exposure=exposure, users=Users({}), commanding=True, record=Record(print))


def served(access: Access) -> Starlette:
    watched = Watched(Topics(NAMESPACE), print)
    settings = Settings(url="mqtt://127.0.0.1:9", namespace=NAMESPACE, broker_timeout_s=1)
    orders = Commander(settings, print, watched.touch)
    return build(Context(settings, watched, watched.recent, access, orders))


@dataclass
class Person:
    """A browser of somebody with a role, at the real application."""

    app: Starlette
    cookie: str
    token: str

    def post(self, path: str, *, token: str | None = None, **headers: str) -> Answered:
        given = self.token if token is None else token
        said = {**HOST, "cookie": self.cookie} | {name.replace("_", "-"): value for name, value in headers.items()}
        if path not in UPLOADS:
            return ask(self.app, path, headers=said, form={"csrf": given}, scheme="https")
        body = f'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{given}\r\n--x--\r\n'.encode()
        said |= {"content-type": "multipart/form-data; boundary=x", "content-length": str(len(body))}
        return ask(self.app, path, method="POST", headers=said, body=body, scheme="https")


def person(role: Role | None) -> Person:
    """Who has this role; None: who has only seen the login."""
    access = with_people()
    app = served(access)
    cookie = access.set_session_cookie(access.sessions.begin(Viewer("anna", role))).partition(";")[0] if role else ""
    seen = ask(app, LOGIN, headers={**HOST, "cookie": cookie}, scheme="https")
    token = re.search(r'name="csrf" value="(\w+)"', seen.body)
    assert token, seen.body
    return Person(app, cookie or seen.cookie, token[1])


PATHS = sorted(set(posted()))


def test_the_forms_that_are_known_are_among_those_that_are_tried() -> None:
    assert {LOGIN, LOGOUT, "/orders", "/push/upload", "/push/x"} <= set(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_an_operator_reaches_the_page(path: str) -> None:
    answer = person("operator").post(path)

    assert answer.status not in (*_NEITHER, 405, 415) or path == LOGIN, answer.body


@pytest.mark.parametrize("path", [path for path in PATHS if path not in (LOGIN, LOGOUT)])
def test_a_viewer_does_not(path: str) -> None:
    answer = person("viewer").post(path)

    assert (answer.status, "may read, but not send orders" in answer.body) == (403, True)


@pytest.mark.parametrize("path", [path for path in PATHS if path != LOGIN])
def test_who_has_not_logged_in_does_not(path: str) -> None:
    assert person(None).post(path).status == 401


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "wrong",
    [
        {"token": ""}, {"token": "0" * 64}, {"origin": "https://evil.example"}, {"origin": "null"},
        {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}, {"cookie": ""},
    ],
    ids=str,
)  # fmt: skip
def test_an_operator_does_not_without_a_form_of_ours(path: str, wrong: dict[str, str]) -> None:
    answer = person("operator").post(path, **wrong)

    assert (answer.status, "this form comes from another site" in answer.body) == (403, True), answer.body
