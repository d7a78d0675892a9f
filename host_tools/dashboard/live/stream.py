"""The stream of a page: once a second, what of it has changed.

``/live?view=NAME&…`` with the rest of the page's own query. A browser that comes back, as one whose tab was hidden,
gets all of its parts anew.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from host_tools.dashboard.context import Context, context_of
from host_tools.dashboard.frame import banner
from host_tools.dashboard.live.parts import Differ, Parts

View = Callable[[Context, QueryParams, float], Parts]
"""Makes the parts of a page, from its query and the moment (seconds since the epoch)."""
_EVERY_S = 1.0
_MOST_SHARE = 0.1
"""Of its time that a stream may spend with making parts: those of a large fleet are made more seldom."""
_STUCK_S = 30.0
"""A browser that takes nothing for so long is let go."""
_GRACE_S = 0.5
_AGES_EVERY_S = 10.0
"""How often parts are made although nobody said anything: what is told of time grows old."""


def routes(views: Mapping[str, View]) -> list[BaseRoute]:
    """The stream's route; ``views``: by the name that a page gives in its address."""

    async def live(request: Request) -> EventSourceResponse:
        view = views.get(request.query_params.get("view", ""))
        if view is None:
            raise HTTPException(404)
        ending = anyio.Event()
        changes = _changes(context_of(request), view, request, ending)
        return EventSourceResponse(
            changes, ping=15, send_timeout=_STUCK_S, shutdown_event=ending, shutdown_grace_period=_GRACE_S
        )

    return [Route("/live", live)]


async def _changes(
    context: Context, view: View, request: Request, ending: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    differ, revision, made_at = Differ(), -1, 0.0
    query, alive = request.query_params, request.state.alive
    while alive() and not ending.is_set():
        now, took = time.time(), 0.0
        if context.watched.revision != revision or now - made_at >= _AGES_EVERY_S:
            revision, made_at = context.watched.revision, now
            text = await run_in_threadpool(_text, context, view, query, differ)
            took = time.time() - now
            if text:
                yield ServerSentEvent(data=text)
        with anyio.move_on_after(max(_EVERY_S, took / _MOST_SHARE)):
            await ending.wait()


def _text(context: Context, view: View, query: QueryParams, differ: Differ) -> str:
    now = time.time()
    return differ.changes({"broker": banner(context.watched.broker, now), **view(context, query, now)})
