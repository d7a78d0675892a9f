"""Stands before every page: no request reaches one unless its host, origin, person, role and token are right.

A request that changes something needs an operator and the token of a form of ours; only logging in and out need no
operator. Pages find who asks in ``request.state.viewer`` and what a form must carry in ``request.state.csrf``;
a stream ends once ``request.state.alive`` says no more.

A form is read here, so that no page can forget its token; but for those that bring a file, which call
:func:`check_token` once they have read it.
"""

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, quote

from starlette.datastructures import FormData, Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from host_tools.dashboard.access import forgery, headers
from host_tools.dashboard.access.access import Access
from host_tools.dashboard.access.sessions import new_cookie
from host_tools.dashboard.access.viewer import NOBODY, Viewer

LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
STREAM: Final = "/live"
"""What a page asks for by itself, as long as it is open."""
UPLOADS: Final = ("/push/upload",)
"""Whose forms bring a file."""
MOST_FORM_BYTES: Final = 256 * 1024
_OPEN: Final = ("/static/",)
_SAFE: Final = ("GET", "HEAD")
_LONGEST_NEXT = 2000
_FORM = "application/x-www-form-urlencoded"
_OTHER_PAGE = "this form is of no page of ours, or of another session; load the page again and send it from there"


class Guard:
    """ASGI middleware, so that streams pass through as they are."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Headers(scope=scope)
        cookie = _cookie(request, self._access)
        fresh = "" if cookie else new_cookie()

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = headers.added(list(message.get("headers", [])))
                if fresh and not any(name.lower() == b"set-cookie" for name, _ in message["headers"]):
                    MutableHeaders(scope=message).append("set-cookie", self._access.set_cookie(fresh))
            await send(message)

        refusal = self._refusal(scope, request, cookie, fresh)
        if refusal is None and scope["method"] == "POST":
            body, refusal = await self._read_form(scope, request, receive, cookie)
            receive = _again(body, receive) if body is not None else receive
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, request: Headers, cookie: str, fresh: str) -> Response | None:
        """What to answer instead of the page, or None."""
        access, path, method = self._access, str(scope["path"]), str(scope["method"])
        if trouble := self._way(scope, request):
            return PlainTextResponse(trouble, 400)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["csrf"] = forgery.token(access.secret, cookie or fresh)
        viewer = access.viewer(cookie, used=path != STREAM)
        state["alive"] = lambda: access.viewer(cookie, used=False) is not None
        state["viewer"] = viewer or NOBODY
        state["access"] = access
        if method not in (*_SAFE, "POST"):
            return PlainTextResponse("no page has such a method", 405)
        if method == "POST" and not (cookie and forgery.is_ours(request, scope["scheme"])):
            return PlainTextResponse(_OTHER_PAGE, 403)
        if path.startswith(_OPEN) or path == LOGIN:
            return None
        if viewer is None:
            return _log_in(path, scope, request, method)
        if method == "POST" and path != LOGOUT and not (viewer.commands and access.commanding):
            return PlainTextResponse(why_not(viewer, access), 403)
        return None

    def _way(self, scope: Scope, request: Headers) -> str:
        """What is wrong with the way that a request came; also notes who is behind the proxy."""
        exposure = self._access.exposure
        forwarded = request.get("x-forwarded-for")
        if exposure.proxy:
            if (scope.get("client") or ("",))[0] != exposure.proxy:
                return "only the proxy may ask here"
            if request.get("x-forwarded-proto") != "https" or not forwarded:
                return "the proxy must set X-Forwarded-For, and X-Forwarded-Proto to https"
            scope["client"] = (forwarded.rpartition(",")[2].strip()[:80], 0)
            scope["scheme"] = "https"
        elif forwarded is not None:
            return "a proxy sent this; start host-tools dashboard with --trusted-proxy ADDRESS"
        hosts = request.getlist("host")
        if len(hosts) != 1 or not exposure.knows(hosts[0]):
            return "the page is not known by this name; start host-tools dashboard with --host NAME"
        return ""

    async def _read_form(
        self, scope: Scope, request: Headers, receive: Receive, cookie: str
    ) -> tuple[bytes | None, Response | None]:
        """The form's body, or None where its page is to read it, and what to answer instead of the page."""
        kind = request.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data" and scope["path"] in UPLOADS:
            return None, None
        if kind != _FORM:
            return None, PlainTextResponse("no page takes such a form", 415)
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
    """Refuse a form with a file that is not of this browser's page; raises ``HTTPException`` (403)."""
    access: Access = request.state.access
    cookie = _cookie(request.headers, access)
    given = request.headers.get(forgery.HEADER) or str(form.get(forgery.FIELD, ""))
    if not forgery.is_token(access.secret, cookie, given):
        raise HTTPException(403, _OTHER_PAGE)


def why_not(viewer: Viewer, access: Access) -> str:
    """Why this person's orders are not sent; empty: they are."""
    if not access.commanding:
        return "this page only shows; start host-tools dashboard with --allow-commands to send orders"
    return "" if viewer.commands else f"{viewer.shown} may look, not command; ask an operator"


def _cookie(request: Headers, access: Access) -> str:
    try:
        jar: SimpleCookie = SimpleCookie(request.get("cookie", ""))
    except CookieError:
        return ""
    morsel = jar.get(access.cookie_name)
    return morsel.value if morsel is not None else ""


def _field(body: bytes) -> str:
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10_000)
    except ValueError:
        return ""
    return fields.get(forgery.FIELD, [""])[0]


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then whatever comes."""
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
