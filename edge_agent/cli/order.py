"""``edge-agent rollback | recalibrate | cancel | forget``: sends the order to the daemon, and prints its answer.

A rollback must work without the daemon, which may be the broken part. It then takes the lock itself.
"""

import argparse
from pathlib import Path
from typing import Any

from edge_agent.cli.device import add_common, print_json
from edge_agent.daemon.activation.hook import run_hook
from edge_agent.daemon.activation.release_steps import roll_back
from edge_agent.daemon.control_socket import ask
from edge_agent.daemon.device_info import boot_id
from edge_agent.daemon.faults import contained
from edge_agent.errors import StoreError
from edge_agent.printable import printable
from edge_agent.settings.device import Config, read_config
from edge_agent.state.clock import Clock
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.telemetry.events import Events, Subject
from edge_agent.telemetry.outbox import Outbox
from edge_agent.wire.messages import Message
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import check_name

_ORDERS = {
    "rollback": (
        "MODEL",
        "make a model's previous release active again",
        "The activation hook runs for it. The version that was active does not return by itself.",
    ),
    "recalibrate": (
        "MODEL",
        "calibrate the active model again, with new data",
        "A new job: new data and a new verdict for the same version.",
    ),
    "cancel": ("JOB", "end a job", "Not possible once its release is being activated."),
    "forget": (
        "MODEL",
        "reset a model's name, so that any version may follow",
        "Its jobs end, and its next push may have any version. The active release stays, earlier orders are void.",
    ),
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    for name, (subject, text, more) in _ORDERS.items():
        parser = subparsers.add_parser(name, help=text, description=f"{text.capitalize()}. {more}")
        parser.add_argument("subject", metavar=subject)
        add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Send the order; raises ``StoreError`` with the daemon's code if it refuses, ``WireError`` for an invalid name."""
    check_name(args.subject, _ORDERS[args.command][0].lower())
    config = read_config(args.config)
    folder = Path(config.state_dir)
    try:
        answer = ask(folder, args.command, args.subject)
    except StoreError as error:
        if error.code != "not_running" or args.command != "rollback":
            raise
        answer = _roll_back_alone(config, args.subject)
    if args.json:
        print_json(answer)
    else:
        print(printable(answer["message"]))
    return 0


def _roll_back_alone(config: Config, model: str) -> dict[str, Any]:
    """Roll back under the lock, and run the hook. The daemon reports it to the broker when it starts."""
    store = Store(Path(config.state_dir))
    if not store.models.exists():  # the lock would create it, owned by this user
        raise Releases(store.models, model).none_active()
    store.lock()
    left, active = roll_back(store, model)
    said = f"rolled back {model} from {left.version} to {active.version}, with no agent running"
    with contained("the event of the rollback"):  # a lost event does not undo the rollback
        _note(config, store, left, said)
    message = f"{model} {active.version} is active again"
    problem = ""
    if config.activation.hook:
        problem = run_hook(config.activation.hook, Releases(store.models, model).path(active.name))
    store.unlock()
    return {"message": f"{message}; {problem}" if problem else message, "active": active.name, "hook": problem}


def _note(config: Config, store: Store, left: Release, sentence: str) -> None:
    """Store an event, which the daemon publishes when it starts."""
    now = Clock(store.root / "clock").now()
    outbox = Outbox(store.root / "events", lambda: now)
    outbox.load()
    stamp = Message(ts=rfc3339(now), seq=int(now * 1000), boot_id=boot_id())  # as the daemon's messages have
    events = Events(config.device_id, outbox, lambda: stamp)
    events.tell("rolled_back", sentence, about=Subject(left.model, left.version, left.job))
