"""``edge-agent releases``: the releases on disk, and the active ones."""

import argparse

import msgspec

from edge_agent.cli.device import add_common, print_json, require_readable, state_dir
from edge_agent.cli.tables import print_rows
from edge_agent.errors import StoreError
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.strict import did_you_mean
from edge_agent.wire.topics import check_name


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``releases`` command."""
    parser = subparsers.add_parser("releases", help="list the releases on this device")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="only this model's")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print every release, newest last; reads the disk, so it needs no daemon.

    Raises:
        StoreError: ``not_active``: this device knows no model of the given name.
    """
    store = Store(state_dir(args))
    models = store.models
    require_readable(models)
    if args.model:
        check_name(args.model, "model")
    known = sorted(path.name for path in models.glob("*") if path.is_dir())
    if args.model and args.model not in known and store.record(args.model) is None:
        raise StoreError("not_active", f"this device knows no model {args.model!r}{did_you_mean(args.model, known)}")
    names = [args.model] if args.model else known
    found = []
    for name in names:
        releases = Releases(models, name)
        active = releases.active()
        for release in releases.all():
            is_active = active is not None and release.name == active.name
            path = str(releases.path(release.name))
            found.append({**msgspec.to_builtins(release), "active": is_active, "path": path})
    if args.json:
        print_json({"releases": found})
    elif not found:
        print(f"no release {f'of {args.model} ' if args.model else ''}on this device yet")
    else:
        rows = [
            (
                "*" if r["active"] else "",
                r["model"],
                r["version"],
                r["verdict"],
                r["method"],
                r["size_bytes"],
                r["path"],
            )
            for r in found
        ]
        print_rows(("", "MODEL", "VERSION", "VERDICT", "METHOD", "BYTES", "PATH"), rows)
    return 0
