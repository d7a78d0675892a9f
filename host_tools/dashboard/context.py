"""The objects that request handlers use; ``request.app.state.context``."""

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
        settings: the connection to the broker.
        watched: the current state of the fleet.
        history: time series of measurements.
        access: rules about who may see and do what.
        orders: sends people's orders; None: orders are disabled.
    """

    settings: Settings
    watched: Watched
    history: History
    access: Access
    orders: Commander | None = None


def context_of(request: Request) -> Context:
    """The dashboard that received a request."""
    return cast("Context", request.app.state.context)


def viewer_of(request: Request) -> Viewer:
    """The person who sent a request."""
    return cast("Viewer", request.state.viewer)
