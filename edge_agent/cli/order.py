"""``edge-agent rollback | recalibrate | cancel``: asks the daemon, and prints its answer."""

import argparse

from edge_agent.cli.device import add_common, print_json, state_dir
from edge_agent.control import ask

_ORDERS = {
    "rollback": (
        "MODEL",
        "make a model's previous release active again",
        "The activation hook runs on it. The version left behind does not come back by itself.",
    ),
    "recalibrate": (
        "MODEL",
        "calibrate the active model again, with new data",
        "A new job: new data and a new verdict for the same version.",
    ),
    "cancel": ("JOB", "end a job", "Not possible any more once its release is being activated."),
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three commands."""
    for name, (subject, text, more) in _ORDERS.items():
        parser = subparsers.add_parser(name, help=text, description=f"{text.capitalize()}. {more}")
        parser.add_argument("subject", metavar=subject)
        add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the daemon; raises ``StoreError`` with its code if it refuses."""
    answer = ask(state_dir(args), args.command, args.subject)
    if args.json:
        print_json(answer)
    else:
        print(answer["message"])
    return 0
