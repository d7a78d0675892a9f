"""The page for an unknown address."""

import time

from starlette.requests import Request
from starlette.responses import Response

from edge_agent.report.html.markup import element
from host_tools.dashboard.context import context_of, viewer_of
from host_tools.dashboard.frame import page


def not_found(request: Request, _error: Exception) -> Response:
    """The page for a device, model or job that is unknown or was cleared."""
    body = [
        element("h1", "Page not found"),
        element("p", "The broker does not know this device, model or job, or it was cleared."),
        element("p", element("a", "To the fleet", href="/")),
    ]
    broker = context_of(request).watched.broker
    return page("Not found", *body, viewer=viewer_of(request), broker=broker, now=time.time(), status=404)
