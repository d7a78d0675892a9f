"""``host-tools dashboard``: the fleet as web pages."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.advice.installation import require
from host_tools.broker.session import to_stderr
from host_tools.broker.settings import Settings
from host_tools.cli.dashboard_access import DashboardOptions, access_of
from host_tools.cli.exporter import address_of, bracketed
from host_tools.fleet.stopping import until_stopped

if TYPE_CHECKING:
    from host_tools.dashboard.history.points import History


def dashboard(
    context: typer.Context,
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="address for browsers")
    ] = "127.0.0.1:8080",
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            metavar="URL",
            show_default=False,
            help="the history of host-tools collect; without it charts begin at the start of this command",
        ),
    ] = None,
) -> None:
    """Show the fleet in a browser. What every device runs, why, and what to do; until Ctrl-C."""
    options: DashboardOptions = context.obj
    host, port = address_of(listen)
    settings = options.settings(sign=options.sign)
    require("starlette", "uvicorn", "sse_starlette", "python_multipart")
    from host_tools.dashboard.command import run  # noqa: PLC0415  # an extra that other commands lack
    from host_tools.dashboard.context import Context  # noqa: PLC0415
    from host_tools.dashboard.ending import waiting_for_nobody  # noqa: PLC0415
    from host_tools.dashboard.live.watching import Watched  # noqa: PLC0415
    from host_tools.dashboard.orders.commander import Commander  # noqa: PLC0415
    from host_tools.dashboard.serving import listening  # noqa: PLC0415

    access = access_of(options, host, settings.sign)
    watched = Watched(settings.topics, to_stderr)
    orders = Commander(settings, to_stderr, watched.touch) if access.commanding else None
    with (
        waiting_for_nobody(),
        until_stopped(),
        _history(db, settings, watched.recent) as history,
        listening(host, port) as server,
    ):
        chosen, scheme = server.getsockname()[1], "https" if access.tls else "http"
        to_stderr(f"the dashboard of {settings.namespace} is on {scheme}://{bracketed(host)}:{chosen}/; Ctrl-C ends")
        run(Context(settings, watched, history, access, orders), server, to_stderr)


@contextmanager
def _history(db: str | None, settings: Settings, heard: "History") -> Iterator["History"]:
    """The earlier history from ``db``, or only what is ``heard`` from now on."""
    if db is None:
        yield heard
        return
    require("sqlalchemy")
    from host_tools.dashboard.history.database import DatabaseHistory  # noqa: PLC0415  # an extra, again
    from host_tools.history.address import address  # noqa: PLC0415

    url = address(db)
    if url.get_backend_name() == "postgresql":
        require("psycopg")
    with closing(DatabaseHistory(url, settings.namespace, heard, to_stderr)) as history:
        yield history
