"""``host-tools sign``: adds a signature to an order at the broker, for devices that require several."""

import json
import sys
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.markup import escape

from edge_agent.errors import ConfigError
from host_tools.broker.countersign import check_same, read_orders
from host_tools.broker.session import Session
from host_tools.broker.signing import add_signature
from host_tools.cli.options import Connection, Whom
from host_tools.display.console import stdout_console


@dataclass(frozen=True, kw_only=True)
class SignOptions(Connection, Whom):
    """The options that this command shares with others."""


def sign(
    context: typer.Context,
    *,
    what: Annotated[str, typer.Argument(metavar="MODEL|COMMAND|keys-N", help="the order that waits at the broker")],
    yes: Annotated[bool, typer.Option("--yes", help="sign what is shown without asking")] = False,
) -> None:
    """Add a signature to somebody else's order.

    A device with min_signatures = 2 executes orders that two keys have signed: one operator pushes, and another one
    checks the order shown here and signs it, too.
    """
    options: SignOptions = context.obj
    settings = options.settings(sign=options.sign)
    if not settings.sign:
        raise ConfigError("usage", "give --sign KEY with the additional key")
    console = stdout_console()
    with Session(settings) as session:
        orders = read_orders(session, options.scopes(), what)
        check_same(orders)
        if not options.as_json:
            for line in orders[0].lines:
                console.print(escape(line))
            console.print(f"signed by {escape(', '.join(orders[0].signers) or 'nobody')}")
        if not yes:
            _ask()
        signed = {order.topic: add_signature(order.envelope, settings.sign) for order in orders}
        for topic, envelope in signed.items():
            session.publish(topic, envelope)
    if options.as_json:
        print(json.dumps({"event": "summary", "exit": 0, "topics": sorted(signed), "said": orders[0].lines}))
    else:
        console.print(f"signed; {len(signed)} sent")


def _ask() -> None:
    if not sys.stdin.isatty():
        raise ConfigError("usage", "there is no terminal for a confirmation; check the order, then give --yes")
    typer.confirm("sign this, too?", abort=True, err=True)
