"""The login and logout page. A server without logins has nothing to do here."""

import time
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from edge_agent.printable import printable
from edge_agent.report.html.markup import Markup, element
from host_tools.dashboard.access.access import Access
from host_tools.dashboard.access.guard import LOGIN, LOGOUT, address_of
from host_tools.dashboard.access.passwords import LONGEST
from host_tools.dashboard.context import context_of, viewer_of
from host_tools.dashboard.frame import page
from host_tools.dashboard.threads import checking_password
from host_tools.dashboard.widgets.forms import button, field, form, hidden

_WRONG = "The name or the password is wrong."


def routes() -> list[BaseRoute]:
    """The page's routes."""
    return [
        Route(LOGIN, show, methods=["GET"]),
        Route(LOGIN, log_in, methods=["POST"]),
        Route(LOGOUT, log_out, methods=["POST"]),
    ]


def show(request: Request) -> Response:
    """The form, or the name of the logged in person."""
    return _page(request, request.query_params.get("next", ""))


async def log_in(request: Request) -> Response:
    """Start a session for a person with the right password."""
    access = context_of(request).access
    users = access.users
    if users is None:
        return RedirectResponse("/", 303)
    given = await request.form()
    name, password, there = (str(given.get(field, "")) for field in ("name", "password", "next"))
    address, shown = address_of(request.scope), printable(name, 80)
    if (wait_s := access.attempts.wait_s(address)) > 0:
        access.record.note(f"login as {shown} from {address} was refused: too many attempts")
        said = _page(request, there, f"Too many attempts; try again in {wait_s:.0f} s.", 429)
        said.headers["retry-after"] = f"{wait_s:.0f}"
        return said
    viewer = await checking_password(users.check, name, password)
    if viewer is None:
        access.record.note(f"login as {shown} from {address} was refused: wrong name or password")
        return _page(request, there, _WRONG, 403)
    access.attempts.succeeded(address)
    access.record.note(f"{viewer.name} has logged in from {address} as {viewer.role}")
    answer = RedirectResponse(_local(there), 303)
    answer.headers["set-cookie"] = access.set_session_cookie(access.sessions.begin(viewer))
    return answer


async def log_out(request: Request) -> Response:
    """End the session."""
    access = context_of(request).access
    access.sessions.end(request.state.cookie)
    return RedirectResponse(LOGIN, 303)


def _page(request: Request, there: str, trouble: str = "", status: int = 200) -> Response:
    context, viewer = context_of(request), viewer_of(request)
    if context.access.users is None:
        body = element("p", "This page needs no login: only this machine can reach it.")
    else:
        body = _leave(request, context.access) if viewer.name else _enter(request, there, trouble)
    return page(
        "Log in",
        element("h1", "Log in"),
        body,
        viewer=viewer,
        broker=context.watched.broker,
        now=time.time(),
        status=status,
    )


def _enter(request: Request, there: str, trouble: str) -> Markup:
    return form(
        request.state.csrf,
        LOGIN,
        element("p", trouble, class_="trouble", role="alert") if trouble else "",
        field("Name", "name", autocomplete="username", required="", autofocus=""),
        field("Password", "password", type="password", autocomplete="current-password", required="", maxlength=LONGEST),
        hidden("next", there),
        button("Log in", class_="main"),
        class_="login",
    )


def _leave(request: Request, access: Access) -> Markup:
    viewer = viewer_of(request)
    may = "can send orders" if viewer.commands and access.commanding else "can only read"
    return form(request.state.csrf, LOGOUT, element("p", f"{viewer.name} is logged in and {may}."), button("Log out"))


def _local(there: str) -> str:
    """``there`` if it is one of our own pages, otherwise the first page."""
    try:
        parts = urlsplit(there)
    except ValueError:
        return "/"
    ours = there.startswith("/") and not there.startswith(("//", "/\\")) and there.isprintable()
    return there if ours and not (parts.scheme or parts.netloc) and " " not in there else "/"
