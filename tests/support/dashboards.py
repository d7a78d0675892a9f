"""A dashboard in this process, for tests of its pages: what devices say is handed to it, the requests are real."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPMessage

from edge_agent.mqtt import Incoming
from edge_agent.wire.topics import Topics
from host_tools.broker.packed import Packed
from host_tools.broker.settings import Settings
from host_tools.dashboard.access.access import Access
from host_tools.dashboard.access.exposure import expose
from host_tools.dashboard.context import Context
from host_tools.dashboard.live.watching import Watched
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


def get(url: str, **headers: str) -> Answer:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})  # noqa: S310  # our own server
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # likewise
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


@dataclass
class Dashboard:
    """One that serves pages of what it is told."""

    watched: Watched
    url: str
    topics: Topics = field(default_factory=lambda: Topics(NAMESPACE))

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

    def voice(self, device: str) -> Voice:
        return Voice(device, self.topics)


def local_access(*, commanding: bool = False) -> Access:
    """As on loopback, where nobody logs in."""
    exposure = expose("127.0.0.1", login=False, tls_cert=None, tls_key=None, proxy="", names=())
    return Access(exposure=exposure, commanding=commanding)


@contextmanager
def dashboard() -> Iterator[Dashboard]:
    watched = Watched(Topics(NAMESPACE), print)
    settings = Settings(url="mqtt://127.0.0.1", namespace=NAMESPACE)
    with listening("127.0.0.1", 0) as listener:
        server = Server(Context(settings, watched, watched.recent, local_access()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            eventually(lambda: server.started, 60)
            yield Dashboard(watched, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.end()
            thread.join()


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
