"""Without a login, as on loopback: everybody who reaches the server is the same viewer. ASGI middleware."""

from starlette.types import ASGIApp, Receive, Scope, Send

from host_tools.dashboard.access.viewer import LOCAL


class LocalViewer:
    """Sets ``request.state.viewer``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer that viewer."""
        if scope["type"] == "http":
            scope.setdefault("state", {})["viewer"] = LOCAL
        await self._app(scope, receive, send)
