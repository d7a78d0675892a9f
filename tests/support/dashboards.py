"""A dashboard in this process, for tests of its pages: what devices say is handed to it, the requests are real."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPMessage
from typing import Any
from urllib.parse import urlencode

from edge_agent.mqtt import Incoming
from edge_agent.wire.topics import Topics
from host_tools.broker.packed import Packed
from host_tools.broker.settings import Settings
from host_tools.dashboard.access import forgery
from host_tools.dashboard.access.access import Access
from host_tools.dashboard.access.exposure import expose
from host_tools.dashboard.context import Context
from host_tools.dashboard.live.watching import Watched
from host_tools.dashboard.orders.commander import Commander
from host_tools.dashboard.serving import Server, listening
from support.fleets import Voice, eventually

NAMESPACE = "t/board"


@dataclass
class Answer:
    """What a server has answered."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class _Stay(urllib.request.HTTPRedirectHandler):
    """A test sees where it is sent."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def get(url: str, data: bytes | None = None, **headers: str) -> Answer:
    """Ask for a page; with ``data``, send a form."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, fields)  # noqa: S310  # our own server
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=60) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


@dataclass
class Dashboard:
    """One that serves pages of what it is told."""

    watched: Watched
    url: str
    topics: Topics
    orders: Commander | None = None

    def keep(self, *messages: tuple[str, bytes]) -> None:
        """The broker keeps these, and is there."""
        self.watched.kept(Packed(messages))
        self.watched.connected(up=True)

    def hear(self, *messages: tuple[str, bytes]) -> None:
        for topic, payload in messages:
            self.watched.heard(Incoming(topic, payload, retained=False))

    @contextmanager
    def stream(self, query: str) -> Iterator[None]:
        """An open stream, which has brought something."""
        with urllib.request.urlopen(f"{self.url}/live?{query}", timeout=60) as answer:  # noqa: S310  # our own server
            assert answer.readline()
            yield

    def get(self, path: str, **headers: str) -> Answer:
        return get(self.url + path, **headers)

    def post(self, path: str, fields: Sequence[tuple[str, str]], **headers: str) -> Answer:
        """A form of a page of ours, as a browser of its own sends it."""
        seen = self.get("/push")
        cookie = seen.headers["Set-Cookie"].partition(";")[0]
        (token,) = {str(one["value"]) for one in Page(seen.text).all("input") if one.get("name") == forgery.FIELD}
        data = urlencode([(forgery.FIELD, token), *fields]).encode()
        return get(self.url + path, data, Cookie=cookie, Origin=self.url, **headers)

    def voice(self, device: str) -> Voice:
        return Voice(device, self.topics)


def local_access(*, commanding: bool = False) -> Access:
    """As on loopback, where nobody logs in."""
    exposure = expose("127.0.0.1", login=False, tls_cert=None, tls_key=None, proxy="", names=())
    return Access(exposure=exposure, commanding=commanding)


@contextmanager
def dashboard(settings: Settings | None = None) -> Iterator[Dashboard]:
    """With ``settings``, orders go there."""
    settings, commanding = settings or Settings(url="mqtt://127.0.0.1", namespace=NAMESPACE), settings is not None
    watched = Watched(settings.topics, print)
    orders = Commander(settings, print, watched.touch) if commanding else None
    with listening("127.0.0.1", 0) as listener:
        server = Server(Context(settings, watched, watched.recent, local_access(commanding=commanding), orders))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            eventually(lambda: server.started, 60)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            yield Dashboard(watched, url, settings.topics, orders)
        finally:
            server.end()
            thread.join()
            if orders:
                orders.uploads.forget()


class Page(HTMLParser):
    """Elements and words of a page, as a browser's parser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]
