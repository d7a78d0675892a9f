"""``host-tools purge``: clears messages from the broker that nobody needs."""

import json
from typing import Annotated

import typer

from edge_agent.strict import counted
from host_tools.broker.purge import GRACE_S, Purged, purge
from host_tools.broker.session import Session
from host_tools.cli.options import connection_of
from host_tools.exits import UNREACHABLE

_MIB = 1 << 20
_SHOWN = 20


def purge_broker(
    context: typer.Context,
    *,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", metavar="HOURS", min=0, help="keep blobs needed within this time; 0 only without pushes"
        ),
    ] = GRACE_S / 3600,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only print what would be cleared")] = False,
) -> None:
    """Clear unneeded messages from the broker.

    These are: blobs that no unexpired want names, once their grace period is over, and ended commands.
    """
    options = connection_of(context)
    settings = options.settings()
    with Session(settings) as session:
        purged = purge(session, settings, grace_s=grace * 3600, dry_run=dry_run)
        session.say_left(purged.refused)
    if options.as_json:
        print(json.dumps(purged.as_dict()))
    else:
        _show(purged, "would clear" if dry_run else "cleared")
    if purged.refused:
        raise typer.Exit(UNREACHABLE)


def _show(purged: Purged, verb: str) -> None:
    for blob in purged.blobs:
        print(f"{verb} blob {blob.sha256[:16]}… ({blob.size_bytes / _MIB:.1f} MiB)")
    for blob in purged.waiting:
        print(f"waits for its grace to end: blob {blob.sha256[:16]}… ({blob.size_bytes / _MIB:.1f} MiB)")
    for topic in purged.messages:
        print(f"{verb} {topic}")
    for topic in purged.refused[:_SHOWN]:
        print(f"refused by the broker: {topic}")
    if len(purged.refused) > _SHOWN:
        print(f"refused by the broker: {len(purged.refused) - _SHOWN} more")
    cleared = f"{counted(len(purged.blobs), 'blob')} and {counted(len(purged.messages), 'message')}"
    print(f"{verb} {cleared}; in use: {counted(purged.kept, 'blob')}")
