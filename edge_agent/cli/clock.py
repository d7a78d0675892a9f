"""``edge-agent clock``: shows the time that this device uses, and resets a wrong one."""

import argparse
from pathlib import Path

from edge_agent.cli.device import add_common, print_json, state_dir
from edge_agent.daemon.control_socket import ask
from edge_agent.errors import StoreError
from edge_agent.state.clock import Clock
from edge_agent.state.store import Store


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``clock`` command."""
    parser = subparsers.add_parser(
        "clock",
        help="show the time that decides about expiry, or reset it",
        description="Shows the time that decides about expiry: the system clock, but never before the floor. The floor "
        "is the latest synchronised time that this device has had.",
    )
    parser.add_argument("--reset", action="store_true", help="reset the floor, as it came from a wrong time")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print the device's time; raises ``StoreError`` (permission_denied)."""
    folder = state_dir(args)
    try:
        told = ask(folder, "clock-reset" if args.reset else "clock")
    except StoreError as error:
        if error.code != "not_running":
            raise
        told = _alone(folder, reset=args.reset)
    if args.json:
        print_json(told)
        return 0
    if args.reset:
        print("the floor is reset; expired orders are judged again")
    print(f"time    {told['time']}")
    print(f"system  {told['system']}, {'synchronised' if told['synchronised'] else 'not synchronised'}")
    print(f"floor   {told['floor']}")
    return 0


def _alone(folder: Path, *, reset: bool) -> dict[str, object]:
    """The time that a daemon would use; for where none runs. A reset takes the lock."""
    store = Store(folder)
    clock = Clock(folder / "clock")
    if reset:
        store.lock()
        clock.reset()
        store.unlock()
    return clock.as_dict()
