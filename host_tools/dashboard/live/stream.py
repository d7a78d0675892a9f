"""The stream of a page: once a second, the changes of its parts.

Its address is ``/live?view=NAME&…`` with the rest of the page's own query. A browser that reconnects, for example after
its tab was hidden, gets all parts again.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from host_tools.dashboard.context import Context, context_of
from host_tools.dashboard.frame import banner
from host_tools.dashboard.live.parts import Differ, Parts
from host_tools.dashboard.live.shared import EVERY_S, Shared
from host_tools.dashboard.threads import making_parts

View = Callable[[Context, QueryParams, float], Parts]
"""Makes the parts of a page from its query and the time (seconds since the epoch)."""
MOST_STREAMS = 200
"""The most streams at a time."""
_STUCK_S = 30.0
"""A browser that reads nothing for this long is disconnected."""
_GRACE_S = 0.5
_AGES_EVERY_S = 10.0
"""Interval at which parts are made without a new message, as displayed ages change."""


def routes(views: Mapping[str, View]) -> list[BaseRoute]:
    """The stream's route; ``views``: by the name in a page's address."""
    shared = Shared()

    async def live(request: Request) -> Response:
        view = views.get(request.query_params.get("view", ""))
        if view is None:
            raise HTTPException(404)
        if shared.open >= MOST_STREAMS:
            return PlainTextResponse("too many pages are open; close some", 503)
        ending = anyio.Event()
        changes = _changes(context_of(request), view, shared, request, ending)
        return EventSourceResponse(
            changes, ping=15, send_timeout=_STUCK_S, shutdown_event=ending, shutdown_grace_period=_GRACE_S
        )

    return [Route("/live", live)]


async def _changes(
    context: Context, view: View, shared: Shared, request: Request, ending: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    differ, revision, made_at = Differ(), -1, 0.0
    query, alive = request.query_params, request.state.alive

    def parts() -> Parts:
        now = time.time()
        return {"broker": banner(context.watched.broker, now), **view(context, query, now)}

    with shared.watching(str(query)) as watched:
        while alive() and not ending.is_set():
            pause_s = EVERY_S
            if context.watched.revision != revision or time.monotonic() - made_at >= _AGES_EVERY_S:
                made = await watched.made(context.watched.revision, lambda: making_parts(parts))
                revision, made_at, pause_s = made.revision, time.monotonic(), made.holds_s
                if text := await making_parts(differ.changes, made.parts):
                    yield ServerSentEvent(data=text)
            with anyio.move_on_after(pause_s):
                await ending.wait()
