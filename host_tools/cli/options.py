"""Options that several commands share, written once.

``@with_settings`` gives a command every connection option; the command itself receives one ``Settings``. An error
that ends a command with ``--json`` is its last line on stdout, too.
"""

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_agent import __version__
from edge_agent.errors import ConfigError, EdgeAgentError, WireError
from edge_agent.wire.topics import EVERYONE, Scope, check_name
from host_tools.broker.settings import load_settings
from host_tools.exits import exit_of


def _option(name: str, metavar: str, text: str) -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


_OPTIONS: dict[str, Any] = {
    "broker": Annotated[str | None, _option("--broker", "URL", "mqtt://HOST[:PORT], or mqtts:// with TLS")],
    "namespace": Annotated[str | None, _option("--namespace", "NS", "first levels of every topic; ea/v1 if not given")],
    "ca_file": Annotated[str | None, _option("--ca-file", "PEM", "certificates that the broker's is checked against")],
    "cert_file": Annotated[str | None, _option("--cert-file", "PEM", "our certificate")],
    "key_file": Annotated[str | None, _option("--key-file", "PEM", "our certificate's key")],
    "username": Annotated[str | None, _option("--username", "NAME", "our name at the broker")],
    "password_file": Annotated[str | None, _option("--password-file", "FILE", "a file that holds our password")],
    "broker_timeout_s": Annotated[
        float | None, _option("--broker-timeout", "S", "give up when the broker is away this long; 60 if not given")
    ],
}

Devices = Annotated[
    list[str] | None, typer.Option("--device", metavar="ID", help="a device; may be given several times")
]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME", help="all devices of a group; may be given several times")
]
Everyone = Annotated[bool, typer.Option("--all", help="every device")]
Sign = Annotated[
    Path | None,
    typer.Option(
        "--sign",
        metavar="KEY",
        show_default=False,
        help="sign with this private key (see host-tools keygen); a device with [trust] obeys nothing unsigned",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts")]


def _say_version(context: typer.Context, asked: bool) -> None:  # noqa: FBT001  # typer calls it so
    if asked:
        print(f"{context.find_root().info_name} {__version__}")
        raise typer.Exit


ShowVersion = Annotated[
    bool, typer.Option("--version", help="say the version and end", callback=_say_version, is_eager=True)
]


def examples(*lines: str, note: str = "") -> str:
    """What stands below a command's options; the line of a control character keeps the lines as they are."""
    text = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
    return f"{text}\n\n{note}" if note else text


def new_app(text: str = "") -> typer.Typer:
    """An application whose help is plain text: brackets in it are no markup, and lines stay where they were put.

    With ``text`` it is one of several commands, which also says its version; a single command has that option itself.
    """
    app = typer.Typer(help=text, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=bool(text))
    if text:
        app.callback(help=text)(_several)
    return app


def _several(*, version: ShowVersion = False) -> None:
    del version


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the connection options; it receives them as ``settings``, merged with the operator's file."""

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> None:
        overrides = {name: arguments.pop(name) for name in _OPTIONS}
        if "sign" in arguments:
            overrides["sign"] = arguments.pop("sign")
            overrides["sign"] = overrides["sign"] and str(overrides["sign"])
        if "max_broker_bytes" in arguments:
            overrides["max_broker_bytes"] = arguments.pop("max_broker_bytes")
        try:
            command(settings=load_settings(overrides), **arguments)
        except EdgeAgentError as error:
            if arguments.get("as_json"):
                end = {"event": "summary", "exit": exit_of(error), "code": error.code, "message": error.message}
                print(json.dumps(end), flush=True)
            raise

    own = inspect.signature(command, eval_str=True)
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]
    kept = [parameter for name, parameter in own.parameters.items() if name != "settings"]
    kept = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in kept]
    wrapper.__signature__ = own.replace(parameters=[*kept, *extra])  # type: ignore[attr-defined]  # read by inspect
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in [*kept, *extra]}
    del wrapper.__wrapped__
    return wrapper


def scopes(devices: list[str] | None, groups: list[str] | None, everyone: bool) -> list[Scope]:  # noqa: FBT001  # a flag
    """Whom the command line addresses; raises ``ConfigError`` unless exactly one way of saying so was used."""
    named = [bool(devices), bool(groups), everyone]
    if sum(named) != 1:
        raise ConfigError("usage", "say whom: --device ID (again for more), --group NAME, or --all; one of these")
    try:
        if devices:
            return [Scope("d", check_name(name, "device")) for name in dict.fromkeys(devices)]
        if groups:
            return [Scope("g", check_name(name, "group")) for name in dict.fromkeys(groups)]
    except WireError as error:
        raise ConfigError("usage", error.message) from None
    return [Scope("g", EVERYONE)]
