"""Shared options: structs whose fields are options, and the class of commands that accept them.

    @dataclass(frozen=True, kw_only=True)
    class Order(Connection, Whom): ...

    app.command(cls=taking(Order))(cancel)      # cancel(context, ...) finds an Order in context.obj

These options may stand anywhere after the command's name, like the command's own.
"""

import json
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from edge_agent.errors import ConfigError, EdgeAgentError, WireError
from edge_agent.wire.topics import EVERYONE, Scope, check_name
from host_tools.broker.settings import Settings, load_settings
from host_tools.cli.version import ShowVersion, VersionedCommand
from host_tools.exits import exit_of


def _option(name: str, metavar: str, text: str) -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The connection to the broker, and the output format. The operator's file supplies missing options."""

    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts")] = False
    broker: Annotated[str | None, _option("--broker", "URL", "mqtt://HOST[:PORT], or mqtts:// with TLS")] = None
    namespace: Annotated[
        str | None, _option("--namespace", "NS", "first levels of every topic; ea/v1 if not given")
    ] = None
    ca_file: Annotated[str | None, _option("--ca-file", "PEM", "certificates that verify the broker's")] = None
    cert_file: Annotated[str | None, _option("--cert-file", "PEM", "client certificate")] = None
    key_file: Annotated[str | None, _option("--key-file", "PEM", "key of the client certificate")] = None
    username: Annotated[str | None, _option("--username", "NAME", "user name at the broker")] = None
    password_file: Annotated[str | None, _option("--password-file", "FILE", "file that contains the password")] = None
    broker_timeout_s: Annotated[
        float | None, _option("--broker-timeout", "S", "give up when the broker is away this long; 60 if not given")
    ] = None

    def settings(self, **more: Any) -> Settings:
        """The operator's settings, overridden by these options and by ``more``; raises ``ConfigError``."""
        keys = [field.name for field in fields(Connection) if field.name != "as_json"]
        return load_settings({key: getattr(self, key) for key in keys} | more)


@dataclass(frozen=True, kw_only=True)
class Whom:
    """The devices that a command is for, and the key that signs it."""

    device: Annotated[
        list[str] | None, typer.Option("--device", metavar="ID", help="a device; may be given several times")
    ] = None
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME", help="all devices of a group; may be given several times"),
    ] = None
    everyone: Annotated[bool, typer.Option("--all", help="every device")] = False
    sign: Annotated[
        str | None,
        _option(
            "--sign",
            "KEY",
            "sign with this private key (see host-tools keygen); a device with [trust] refuses unsigned orders",
        ),
    ] = None

    @property
    def anyone(self) -> bool:
        """Whether any device was named."""
        return bool(self.device or self.group or self.everyone)

    def scopes(self) -> list[Scope]:
        """The target scopes; raises ``ConfigError`` unless exactly one of the options was used."""
        if sum([bool(self.device), bool(self.group), self.everyone]) != 1:
            raise ConfigError(
                "usage", "name the targets: --device ID (repeatable), --group NAME, or --all; exactly one of these"
            )
        if self.device:
            return [Scope("d", name_of(name, "device")) for name in dict.fromkeys(self.device)]
        if self.group:
            return [Scope("g", name_of(name, "group")) for name in dict.fromkeys(self.group)]
        return [Scope("g", EVERYONE)]


def name_of(text: str, what: str) -> str:
    """``text`` if it is valid for a device, group, model or job; raises ``ConfigError`` (usage) for a wildcard."""
    try:
        return check_name(text, what)
    except WireError as error:
        raise ConfigError("usage", error.message) from None


def taking(kind: type[Connection]) -> type[VersionedCommand]:
    """The class of commands that also accept the options of ``kind``, as their context's ``obj``.

    If an error ends such a command with ``--json``, the last line on stdout describes it, too.
    """
    reader = typer.Typer(add_completion=False)
    reader.command()(kind)
    shared: Any = typer.main.get_command(reader)

    class Taking(VersionedCommand):
        """A command with its own options and the shared ones."""

        def __init__(self, *arguments: Any, params: list[Any], **more: Any) -> None:
            super().__init__(*arguments, params=[*params, *shared.params], **more)

        def invoke(self, ctx: Any) -> Any:
            options: Connection = shared.callback(**{one.name: ctx.params.pop(one.name) for one in shared.params})
            ctx.obj = options
            try:
                return super().invoke(ctx)
            except EdgeAgentError as error:
                if options.as_json:
                    end = {"event": "summary", "exit": exit_of(error), "code": error.code, "message": error.message}
                    print(json.dumps(end), flush=True)
                raise

    return Taking


def connection_of(context: typer.Context) -> Connection:
    """The options of a command whose class adds only these."""
    options: Connection = context.obj
    return options


def examples(*lines: str, note: str = "") -> str:
    """The text below a command's options; the control character keeps its lines unwrapped."""
    text = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
    return f"{text}\n\n{note}" if note else text


def new_app(text: str = "") -> typer.Typer:
    """An application with plain help text: brackets are no markup, and lines are not wrapped.

    With ``text`` it has several commands and a ``--version`` of its own; a single command has that option itself.
    """
    app = typer.Typer(help=text, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=bool(text))
    if text:
        app.callback(help=text)(_several)
    return app


def _several(*, _version: ShowVersion = False) -> None:
    """The options before the name of a command."""
