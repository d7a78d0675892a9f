"""The access options of the dashboard: who may see it and who may command."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_agent.errors import ConfigError
from host_tools.broker.session import to_stderr
from host_tools.broker.signing import own_keyring
from host_tools.cli.options import Connection

if TYPE_CHECKING:
    from host_tools.dashboard.access.access import Access


def _file(name: str, metavar: str, text: str) -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False, exists=True, dir_okay=False)


@dataclass(frozen=True, kw_only=True)
class DashboardOptions(Connection):
    """The dashboard's shared options; help lists them after the command's own."""

    allow_commands: Annotated[
        bool, typer.Option("--allow-commands", help="send orders and models from the page, signed with --sign")
    ] = False
    sign: Annotated[
        str | None,
        typer.Option(
            "--sign", metavar="KEY", show_default=False, help="the operator's private key (see host-tools keygen)"
        ),
    ] = None
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="with --allow-commands: for devices that accept unsigned orders")
    ] = False
    users: Annotated[
        Path | None,
        _file("--users", "FILE", "who may log in (see host-tools dashboard-user); required for other machines"),
    ] = None
    tls_cert: Annotated[Path | None, _file("--tls-cert", "PEM", "the page's certificate, with its chain")] = None
    tls_key: Annotated[Path | None, _file("--tls-key", "PEM", "the certificate's key")] = None
    trusted_proxy: Annotated[
        str,
        typer.Option(
            "--trusted-proxy",
            metavar="ADDRESS",
            show_default=False,
            help="the proxy that has the certificate; all other clients are refused",
        ),
    ] = ""
    host: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="NAME", help="a name of the page besides addresses; may be given several times"),
    ] = None


def access_of(options: DashboardOptions, listen: str, key: str) -> "Access":
    """The access rules of a page on the host ``listen``; ``key`` signs its orders, empty: they are unsigned.

    Raises:
        ConfigError: ``usage``: the page would be open to unknown people.
    """
    from host_tools.dashboard.access.access import Access  # noqa: PLC0415  # an extra that other commands lack
    from host_tools.dashboard.access.exposure import check_certificate, expose  # noqa: PLC0415
    from host_tools.dashboard.access.users import read_users  # noqa: PLC0415

    users = read_users(options.users) if options.users else None
    if users is not None and not users:
        raise ConfigError("usage", f"{options.users} names nobody; add people with host-tools dashboard-user")
    exposure = expose(
        listen,
        login=users is not None,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        proxy=options.trusted_proxy,
        names=options.host or (),
    )
    if options.allow_commands:
        if not key and not options.unsigned:
            raise ConfigError("usage", "--allow-commands needs the operator's key: give --sign KEY, or --unsigned")
        own_keyring(key)  # asks for a locked key's passphrase now
        if users is None:
            to_stderr("anybody on this machine can send orders here; --users FILE requires a login")
        if not key:
            to_stderr("orders are unsigned; a device with [trust] keys refuses them")
    if options.tls_cert and options.tls_key:
        check_certificate(options.tls_cert, options.tls_key)
    tls = (options.tls_cert, options.tls_key) if options.tls_cert and options.tls_key else None
    return Access(exposure=exposure, users=users, commanding=options.allow_commands, tls=tls)
