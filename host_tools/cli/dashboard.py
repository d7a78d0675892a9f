"""``host-tools dashboard``: the fleet as web pages."""

from typing import Annotated

import typer

from edge_agent.advice.installation import require
from host_tools.broker.session import to_stderr
from host_tools.cli.exporter import address_of, bracketed
from host_tools.cli.options import connection_of
from host_tools.fleet.stopping import until_stopped


def dashboard(
    context: typer.Context,
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="where a browser finds it")
    ] = "127.0.0.1:8080",
) -> None:
    """Show the fleet in a browser: what every device runs, why, and what to do. Until Ctrl-C."""
    options = connection_of(context)
    host, port = address_of(listen)
    settings = options.settings()
    require("starlette", "uvicorn", "sse_starlette")
    from host_tools.dashboard.command import run  # noqa: PLC0415  # an extra that other commands lack
    from host_tools.dashboard.serving import listening  # noqa: PLC0415

    with until_stopped(), listening(host, port) as server:
        chosen = server.getsockname()[1]
        to_stderr(f"the dashboard of {settings.namespace} is on http://{bracketed(host)}:{chosen}/; Ctrl-C ends")
        run(settings, server, to_stderr)
