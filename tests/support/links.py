"""A link whose events wait in a queue, so that a test can await what should happen."""

import queue
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from edge_agent.mqtt import Event, Link
from edge_agent.settings.broker import BrokerSettings

E = TypeVar("E")


class QueuedLink:
    """``Link`` plus its inbox; connects on entering, stops on leaving. ``login``: user name and password file."""

    def __init__(
        self, url: str, client_id: str = "tester", *, login: tuple[str, str] = ("", ""), clean: bool = True, **more: Any
    ) -> None:
        self.inbox: queue.Queue[Event] = queue.Queue()
        settings = BrokerSettings(url=url, username=login[0], password_file=login[1])
        self.link = Link(settings, client_id, on_event=self.inbox.put, clean=clean, **more)

    def __enter__(self) -> Self:
        self.link.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.link.stop()

    def expect(self, kind: type[E], timeout_s: float = 60.0, where: Callable[[E], bool] = lambda _: True) -> E:
        """The next event of ``kind`` for which ``where`` holds; others before it are dropped."""
        deadline = time.monotonic() + timeout_s
        while True:
            event = self.inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(event, kind) and where(event):
                return event
