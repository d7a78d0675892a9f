"""``host-tools dashboard``: the fleet as web pages."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.advice.installation import require
from edge_agent.errors import ConfigError
from host_tools.broker.session import to_stderr
from host_tools.broker.signing import own_keyring
from host_tools.cli.exporter import address_of, bracketed
from host_tools.cli.options import Connection
from host_tools.fleet.stopping import until_stopped


def _file(name: str, metavar: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        name, metavar=metavar, help=text, show_default=False, exists=True, dir_okay=False
    )
    return option


@dataclass(frozen=True, kw_only=True)
class DashboardOptions(Connection):
    """Who may see the page and who may command; help lists these behind its own."""

    allow_commands: Annotated[
        bool, typer.Option("--allow-commands", help="send orders and models from the page, signed with --sign")
    ] = False
    sign: Annotated[
        str | None,
        typer.Option("--sign", metavar="KEY", help="the operator's private key (see host-tools keygen)"),
    ] = None
    users: Annotated[
        Path | None,
        _file("--users", "FILE", "who may log in (see host-tools dashboard-user); needed beyond this machine"),
    ] = None
    tls_cert: Annotated[Path | None, _file("--tls-cert", "PEM", "the page's certificate, with its chain")] = None
    tls_key: Annotated[Path | None, _file("--tls-key", "PEM", "the certificate's key")] = None
    trusted_proxy: Annotated[
        str, typer.Option("--trusted-proxy", metavar="ADDRESS", help="a proxy with TLS; nobody else may ask then")
    ] = ""
    host: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="NAME", help="a name of the page besides addresses; may be given several times"),
    ] = None


def dashboard(
    context: typer.Context,
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="where a browser finds it")
    ] = "127.0.0.1:8080",
) -> None:
    """Show the fleet in a browser: what every device runs, why, and what to do. Until Ctrl-C."""
    options: DashboardOptions = context.obj
    host, port = address_of(listen)
    settings = options.settings(sign=options.sign)
    require("starlette", "uvicorn", "sse_starlette", "python_multipart")
    from host_tools.dashboard.access.access import Access  # noqa: PLC0415  # an extra that other commands lack
    from host_tools.dashboard.access.exposure import expose  # noqa: PLC0415
    from host_tools.dashboard.access.users import read_users  # noqa: PLC0415
    from host_tools.dashboard.command import run  # noqa: PLC0415
    from host_tools.dashboard.serving import listening  # noqa: PLC0415

    users = read_users(options.users) if options.users else None
    if users is not None and not users:
        raise ConfigError("usage", f"{options.users} names nobody; add people with host-tools dashboard-user")
    exposure = expose(
        host, login=bool(users), tls_cert=options.tls_cert, tls_key=options.tls_key, proxy=options.trusted_proxy,
        names=options.host or (),
    )  # fmt: skip
    if options.allow_commands:
        own_keyring(settings.sign)  # a locked key's passphrase is asked for now
    tls = (options.tls_cert, options.tls_key) if options.tls_cert and options.tls_key else None
    access = Access(exposure=exposure, users=users, commanding=options.allow_commands, tls=tls)
    with until_stopped(), listening(host, port) as server:
        chosen, scheme = server.getsockname()[1], "https" if tls else "http"
        to_stderr(f"the dashboard of {settings.namespace} is on {scheme}://{bracketed(host)}:{chosen}/; Ctrl-C ends")
        run(settings, access, server, to_stderr)
