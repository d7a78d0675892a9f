"""Middleware before every page: a request needs the right host, origin, person, role and token.

A request that changes something needs an operator and a form's token; only login and logout need no operator. Pages
find the person in ``request.state.viewer`` and the token for their forms in ``request.state.csrf``. A stream ends once
``request.state.alive`` returns False.

The guard reads each form, so that no page can forget the token. The exceptions are forms with a file, whose pages call
:func:`check_token` after reading them.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, quote

from starlette.datastructures import FormData, Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from host_tools.dashboard.access import forgery, headers
from host_tools.dashboard.access.access import Access
from host_tools.dashboard.access.sessions import new_cookie
from host_tools.dashboard.access.viewer import NOBODY, Viewer

LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
STREAM: Final = "/live"
"""The request that an open page makes by itself."""
UPLOADS: Final = ("/push/upload",)
"""Paths whose forms contain a file."""
MOST_FORM_BYTES: Final = 256 * 1024
_OPEN: Final = ("/static/",)
_SAFE: Final = ("GET", "HEAD")
_LONGEST_NEXT = 2000
_FORM = "application/x-www-form-urlencoded"
_GO_ON = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="0">'
    '<title>edge-agent</title></head><body><p><a href="">Go on to the page</a></p></body></html>\n'
)
"""Response for visitors from another site: requested again from here, the page gets the browser's cookies."""
_FAULT = "an internal error of the dashboard; see its log"
_OTHER_PAGE = "this form comes from another site or session; load the page again and send it from there"


class Guard:
    """ASGI middleware, so that streams pass through unchanged."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Headers(scope=scope)
        cookies = _cookies(request)
        session, known = cookies.get(self._access.session_cookie, ""), cookies.get(self._access.form_cookie, "")
        fresh = "" if session or known or not _may_have_none(request) else new_cookie()
        cookie = session or known or fresh

        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = headers.added(list(message.get("headers", [])))
                if fresh and not scope["path"].startswith(_OPEN):
                    MutableHeaders(scope=message).append("set-cookie", self._access.set_form_cookie(fresh))
            await send(message)

        refusal = self._refusal(scope, request, cookie, session, came=not fresh)
        if refusal is None and scope["method"] == "POST":
            body, refusal = await self._read_form(scope, request, receive, cookie)
            receive = _again(body, receive) if body is not None else receive
        try:
            await (refusal or self._app)(scope, receive, send_guarded)
        except Exception:
            if not started:  # otherwise the outer server would answer, without our headers
                await PlainTextResponse(_FAULT, 500)(scope, receive, send_guarded)
            raise

    def _refusal(self, scope: Scope, request: Headers, cookie: str, session: str, *, came: bool) -> Response | None:
        """The response instead of the page, or None; ``came``: the cookie came with the request."""
        access, path, method = self._access, str(scope["path"]), str(scope["method"])
        if trouble := self._connection_problem(scope, request):
            return PlainTextResponse(trouble, 400)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["csrf"], state["cookie"] = forgery.token(access.secret, cookie), cookie
        viewer = access.viewer(session, used=path != STREAM)
        state["alive"] = lambda: access.viewer(session, used=False) is not None
        state["viewer"] = viewer or NOBODY
        state["access"] = access
        if method not in (*_SAFE, "POST"):
            return PlainTextResponse("no page supports this method", 405)
        if method == "POST" and not (cookie and came and forgery.is_ours(request, scope["scheme"])):
            return PlainTextResponse(_OTHER_PAGE, 403)
        if path.startswith(_OPEN):
            return None
        if method == "GET" and not cookie:
            return HTMLResponse(_GO_ON)
        if path == LOGIN:
            return None
        if viewer is None:
            return _log_in(path, scope, request, method)
        if method == "POST" and path != LOGOUT and not (viewer.commands and access.commanding):
            reason = why_not(viewer, access)
            access.record.note(f"{viewer.shown} at {address_of(scope)} was refused {path[:80]}: {reason}")
            return PlainTextResponse(reason, 403)
        return None

    def _connection_problem(self, scope: Scope, request: Headers) -> str:
        """What is wrong with a request's path through proxies and names; also notes the client behind the proxy."""
        exposure = self._access.exposure
        forwarded = ",".join(request.getlist("x-forwarded-for"))  # a proxy may add a line to those of its client
        if exposure.proxy:
            if not exposure.is_proxy((scope.get("client") or ("",))[0]):
                return "only the proxy may connect here"
            if request.getlist("x-forwarded-proto") != ["https"] or not forwarded:
                return "the proxy must set X-Forwarded-For, and X-Forwarded-Proto to https"
            scope["client"] = (forwarded.rpartition(",")[2].strip()[:80], 0)
            scope["scheme"] = "https"
        elif forwarded:
            return "a proxy sent this; start host-tools dashboard with --trusted-proxy ADDRESS"
        hosts = request.getlist("host")
        if len(hosts) != 1 or not exposure.knows(hosts[0]):
            return "this host name is unknown; start host-tools dashboard with --host NAME"
        return ""

    async def _read_form(
        self, scope: Scope, request: Headers, receive: Receive, cookie: str
    ) -> tuple[bytes | None, Response | None]:
        """The form's body, or None where its page reads it; and the response instead of the page, or None."""
        kind = request.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data" and scope["path"] in UPLOADS:
            return None, None
        if kind != _FORM:
            return None, PlainTextResponse("no page accepts this type of form", 415)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None, PlainTextResponse("the form ended early", 400)
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MOST_FORM_BYTES:
                return None, PlainTextResponse("the form is too long", 413)
        given = request.get(forgery.HEADER) or _field(bytes(body))
        if not forgery.is_token(self._access.secret, cookie, given):
            return None, PlainTextResponse(_OTHER_PAGE, 403)
        return bytes(body), None


def check_token(request: Request, form: FormData | Mapping[str, Any]) -> None:
    """Reject a form with a file that is not of this browser's page; raises ``HTTPException`` (403)."""
    access: Access = request.state.access
    cookie = request.state.cookie
    given = request.headers.get(forgery.HEADER) or str(form.get(forgery.FIELD, ""))
    if not forgery.is_token(access.secret, cookie, given):
        raise HTTPException(403, _OTHER_PAGE)


def address_of(scope: Scope) -> str:
    """The person's address, also behind a proxy."""
    return (scope.get("client") or ("",))[0] or "nowhere"


def why_not(viewer: Viewer, access: Access) -> str:
    """Why this person's orders are not sent; empty if they are."""
    if not access.commanding:
        return "this page is read-only; start host-tools dashboard with --allow-commands to send orders"
    return "" if viewer.commands else f"{viewer.shown} may read, but not send orders; ask an operator"


def _cookies(request: Headers) -> dict[str, str]:
    """All cookies; those of other programs on this host may have any form."""
    return cookie_parser("; ".join(request.getlist("cookie")))


def _may_have_none(request: Headers) -> bool:
    """Whether a browser that sends no cookie really has none.

    A visitor from another site sends none although the browser has them. A page's additional request, such as for an
    icon, may precede the page's own cookie, and another cookie would invalidate the page's forms.
    """
    return request.get("sec-fetch-site") != "cross-site" and request.get("sec-fetch-mode", "navigate") == "navigate"


def _field(body: bytes) -> str:
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10_000)
    except ValueError:
        return ""
    return fields.get(forgery.FIELD, [""])[0]


def _again(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that returns the body already read, then further messages."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receive_again


def _log_in(path: str, scope: Scope, request: Headers, method: str) -> Response:
    if method != "GET" or "text/html" not in request.get("accept", ""):
        return PlainTextResponse("log in first", 401)
    query = scope.get("query_string", b"").decode("latin-1")
    there = f"{path}?{query}" if query else path
    return RedirectResponse(f"{LOGIN}?next={quote(there[:_LONGEST_NEXT], safe='')}", 303)
