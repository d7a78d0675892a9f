"""What the handlers of requests work with; ``request.app.state.context``."""

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from host_tools.broker.settings import Settings
from host_tools.dashboard.access.access import Access
from host_tools.dashboard.access.viewer import Viewer
from host_tools.dashboard.history.points import History
from host_tools.dashboard.live.watching import Watched
from host_tools.dashboard.orders.commander import Commander


@dataclass(frozen=True, slots=True)
class Context:
    """One dashboard.

    Attributes:
        settings: how to reach the broker.
        watched: the fleet as it is heard now.
        history: series of what was measured over time.
        access: who may see and do what.
        orders: what people order; None: nobody may.
    """

    settings: Settings
    watched: Watched
    history: History
    access: Access
    orders: Commander | None = None


def context_of(request: Request) -> Context:
    """The dashboard that a request came to."""
    return cast("Context", request.app.state.context)


def viewer_of(request: Request) -> Viewer:
    """Who has sent a request."""
    return cast("Viewer", request.state.viewer)
