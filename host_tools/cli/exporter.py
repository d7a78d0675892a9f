"""``host-tools exporter``: serves the fleet's metrics to Prometheus."""

from typing import Annotated

import typer

from edge_agent.advice.installation import require
from edge_agent.errors import ConfigError
from host_tools.broker.session import to_stderr
from host_tools.cli.options import connection_of
from host_tools.fleet.listening import follow
from host_tools.fleet.stopping import until_stopped

_LAST_PORT = 65_535


def exporter(
    context: typer.Context,
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="address for Prometheus; not protected by a login")
    ] = "127.0.0.1:9464",
) -> None:
    """Serve the state of every device to Prometheus. Until Ctrl-C.

    host-tools export-dashboards writes alert rules and a dashboard to start from.
    """
    options = connection_of(context)
    host, port = address_of(listen)
    settings = options.settings()
    require("prometheus_client")
    from host_tools.exporter.serving import Exporter, answering  # noqa: PLC0415  # an extra that other commands lack

    ear = Exporter(settings.topics, to_stderr)
    with until_stopped(), answering(ear.exported, host, port) as chosen:
        to_stderr(f"metrics of {settings.namespace} on http://{bracketed(host)}:{chosen}/metrics; Ctrl-C ends")
        follow(settings, ear, events=True)


def address_of(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; raises ``ConfigError`` (usage)."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port[:6]) > _LAST_PORT:
        raise ConfigError("usage", f"--listen {text[:80]!r} must be HOST:PORT, as 127.0.0.1:9464")
    return host, int(port)


def bracketed(host: str) -> str:
    """The host in URL syntax."""
    return f"[{host}]" if ":" in host else host
