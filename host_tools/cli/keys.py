"""``host-tools keys``: shows the signed list of operators' keys, or sends the next one."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from edge_agent.errors import ConfigError
from edge_agent.trust.keyring import Keyring
from edge_agent.wire.keys import KEYS_TYPE, key_id
from edge_agent.wire.messages import encode
from edge_agent.wire.timestamps import rfc3339
from host_tools.broker.commands import collect, exit_of_answers, send
from host_tools.broker.key_lists import EVERYBODY, Found, next_key_list, read_key_lists, read_public, revoked_id
from host_tools.broker.registry import read_devices
from host_tools.broker.session import Session
from host_tools.broker.signing import enclose_order, own_keyring
from host_tools.cli.options import Connection
from host_tools.cli.orders import show_answers
from host_tools.display.console import stdout_console

Files = list[Path] | None


@dataclass(frozen=True, kw_only=True)
class KeysOptions(Connection):
    """The options that this command shares with others."""

    sign: Annotated[
        str | None, typer.Option("--sign", metavar="KEY", show_default=False, help="a key that devices trust now")
    ] = None


def keys(
    context: typer.Context,
    *,
    add: Annotated[Files, typer.Option("--add", metavar="FILE.pem", help="trust this key from now on")] = None,
    revoke: Annotated[
        list[str] | None, typer.Option("--revoke", metavar="ID|FILE.pem", help="stop trusting this key")
    ] = None,
    known: Annotated[
        Files, typer.Option("--known", metavar="FILE.pem", help="key of a colleague who signed an earlier list")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="S", min=0, help="how long to wait for answers")
    ] = 60.0,
) -> None:
    """Show who may sign orders, or change it on every device.

    A list must be signed by a key that devices trust now. It stays at the broker, so an offline device applies it when
    it is back. Files in a device's keys folder stay trusted, unless the list revokes them.
    """
    options: KeysOptions = context.obj
    settings = options.settings(sign=options.sign)
    own = own_keyring(settings.sign)
    trusted = {**(own.keys if own else {}), **{key_id(raw): raw for raw in map(read_public, known or [])}}
    with Session(settings) as session:
        chain = read_key_lists(session, Keyring(trusted, {}))
        if not add and not revoke:
            _show(chain, as_json=options.as_json)
            return
        if own is None:
            raise ConfigError(
                "usage", "a key list needs a signature: give --sign KEY with a key that devices trust now"
            )
        for found in chain:
            if not found.trusted:
                session.say(
                    f"key list {found.keys.version} has no known signature and is ignored; "
                    "give --known FILE.pem if a colleague has signed it"
                )
        added = {path.stem: read_public(path) for path in add or []}
        created = rfc3339(time.time(), timespec="seconds")
        new = next_key_list(settings.namespace, chain, added, [revoked_id(one) for one in revoke or []], created)
        devices = read_devices(session)
        send(session, [EVERYBODY], new.id, enclose_order(encode(new), KEYS_TYPE, settings.sign))
        answers = collect(session, [EVERYBODY], new.id, devices, timeout, keep=True)
    code = exit_of_answers(answers)
    if options.as_json:
        fields = {name: {"code": answer.code, "message": answer.message} for name, answer in answers.items()}
        print(json.dumps({"event": "summary", "exit": code, "list": new.version, "devices": fields}))
    else:
        print(f"key list {new.version} is sent")
        show_answers(answers)
    raise typer.Exit(code)


def _show(chain: list[Found], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"event": "summary", "exit": 0, "lists": [_fields(found) for found in chain]}))
        return
    if not chain:
        print("there is no key list: each device trusts the files in its keys folder")
    console = stdout_console()
    for found in chain:
        signers = ", ".join(found.signed_by) or "nobody"
        doubt = "" if found.trusted else "  [red]no known signature[/]"
        console.print(f"[bold]key list {found.keys.version}[/]  signed by {escape(signers)}{doubt}")
        for key in found.keys.keys:
            console.print(f"  trusted  {key_id(key.raw())}  {escape(key.name)}")
        for revoked in found.keys.revoked:
            console.print(f"  revoked  {escape(revoked)}")


def _fields(found: Found) -> dict[str, Any]:
    return {
        "version": found.keys.version,
        "trusted": found.trusted,
        "signed_by": list(found.signed_by),
        "keys": {key_id(key.raw()): key.name for key in found.keys.keys},
        "revoked": found.keys.revoked,
    }
