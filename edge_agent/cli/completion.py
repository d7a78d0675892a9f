"""``edge-agent completion``: a script that lets a shell complete commands, options, and names of sources and models.

    edge-agent completion | sudo tee /etc/bash_completion.d/edge-agent > /dev/null
    edge-agent completion zsh >> ~/.zshrc
    edge-agent completion fish > ~/.config/fish/completions/edge-agent.fish

The script is made of the commands' parsers and starts no Python, which takes a second on a small board. Names come from
the configuration and the state directory, read with tools that every shell has. Jobs are not completed.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from edge_agent.cli import COMMANDS, add_command, new_parser
from edge_agent.cli.completion_scripts import bash, fish, zsh
from edge_agent.cli.completion_words import Names, Option, Words

_SHELLS: dict[str, Callable[[list[Words]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``completion`` command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that lets a shell complete these commands",
        description="Prints a script for a shell. To install it: "
        "edge-agent completion | sudo tee /etc/bash_completion.d/edge-agent > /dev/null; or "
        "edge-agent completion zsh >> ~/.zshrc; or "
        "edge-agent completion fish > ~/.config/fish/completions/edge-agent.fish",
    )
    parser.add_argument("shell", nargs="?", choices=tuple(_SHELLS), default="bash", help="default: bash")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(_SHELLS[args.shell]([_words(command, text) for command, text in COMMANDS.items()]), end="")
    return 0


def _words(command: str, text: str) -> Words:
    """What may follow a command."""
    _, subparsers = new_parser()
    parser, _ = add_command(subparsers, command)
    names: Names = ""
    options, choices = list[Option](), tuple[str, ...]()
    for action in parser._actions:  # noqa: SLF001  # argparse has no other way to ask
        long = [option.removeprefix("--") for option in action.option_strings if option.startswith("--")]
        options += [Option(option, action.help or "", takes_value=action.nargs != 0) for option in long]
        if not action.option_strings:
            names = names or _names(action)
            choices = choices or tuple(map(str, action.choices or ()))
    return Words(command, text, tuple(options), names, choices)


def _names(action: argparse.Action) -> Names:
    """What a first word names: a model that is on the device, not a model's file, or a source."""
    if action.metavar == "SOURCE":
        return "sources"
    return "models" if action.metavar == "MODEL" and action.type is not Path else ""
