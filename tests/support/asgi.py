"""Asks an ASGI application something, without a server."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message


@dataclass(frozen=True)
class Answered:
    """A whole response."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def cookie(self) -> str:
        """What it sets, as a browser sends it back."""
        return self.header("set-cookie").partition(";")[0]


def ask(
    app: ASGIApp,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    body: bytes = b"",
    scheme: str = "http",
    client: str = "127.0.0.1",
) -> Answered:
    """One request, as a browser sends it that has this page open, unless ``headers`` say otherwise."""
    sent = {"host": "127.0.0.1:8080", "accept": "text/html", **(headers or {})}
    if form is not None or method == "POST":
        method, body = "POST", urlencode(form or {}).encode() if form is not None else body
        sent = {
            "content-type": "application/x-www-form-urlencoded",
            "origin": f"{scheme}://{sent['host']}",
            "sec-fetch-site": "same-origin",
        } | sent
    bare, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": scheme,
        "path": bare, "raw_path": bare.encode(), "root_path": "", "query_string": query.encode(),
        "headers": [(key.encode(), value.encode()) for key, value in sent.items() if value],
        "client": (client, 50000), "server": ("127.0.0.1", 8080), "state": {},
    }  # fmt: skip
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    with ThreadPoolExecutor(1) as pool:  # a browser of another test may run a loop in this thread
        pool.submit(lambda: asyncio.run(app(scope, receive, send))).result()
    pairs = [(key.decode().lower(), value.decode()) for key, value in said[0]["headers"]]
    return Answered(said[0]["status"], pairs, b"".join(one.get("body", b"") for one in said[1:]).decode())
