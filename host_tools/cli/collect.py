"""``host-tools collect``: stores the devices' messages over time in a database."""

import math
from typing import Annotated

import typer

from edge_agent.advice.installation import require
from edge_agent.errors import ConfigError
from host_tools.broker.session import to_stderr
from host_tools.cli.options import connection_of
from host_tools.fleet.listening import follow
from host_tools.fleet.stopping import until_stopped


def collect(
    context: typer.Context,
    *,
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            metavar="URL",
            show_default=False,
            help="sqlite:///FILE or postgresql://USER@HOST/DATABASE; if not given, a file in ~/.local/state/edge-agent",
        ),
    ] = None,
    keep_days: Annotated[
        float,
        typer.Option("--keep-days", metavar="N", min=0, max=36_500, help="days after which rows are deleted; 0: never"),
    ] = 365.0,
) -> None:
    """Store reports, health and events in a database.

    SQLite or PostgreSQL, until Ctrl-C; model states as well. Events wait at the broker for up to a week while this is
    not running; it reads retained messages at each start.
    Put a password into ~/.pgpass or PGPASSWORD: other users can see a command line.
    """
    if math.isnan(keep_days):
        raise ConfigError("usage", "--keep-days must be a number")
    options = connection_of(context)
    settings = options.settings()
    require("sqlalchemy")
    from host_tools.history.address import address, default_db  # noqa: PLC0415  # an extra that other commands lack

    url = address(db or default_db())
    if url.get_backend_name() == "postgresql":
        require("psycopg")
    from host_tools.history.collector import Collector  # noqa: PLC0415
    from host_tools.history.database import Database  # noqa: PLC0415
    from host_tools.history.events import EventStream  # noqa: PLC0415

    with until_stopped():
        database = Database(url, settings.namespace)
        events = EventStream(settings, database.client_id)
        collector = Collector(settings.topics, database, events, keep_days, to_stderr)
        try:
            to_stderr(f"storing the messages of {settings.namespace} in {database.name}; Ctrl-C ends")
            follow(settings, collector, events=False)
        finally:
            collector.finish()
            events.close()
            database.close()
            to_stderr(f"handled {collector.dealt_with} messages")
