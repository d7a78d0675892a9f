"""The ``edge-agent`` command. Each subcommand is a module here, and only the requested one is imported.

So the daemon's process does not load ``quantize``, and a broken runtime does not keep ``status`` from answering.
"""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from edge_agent import __version__
from edge_agent.advice.installation import lacking
from edge_agent.advice.permission import not_permitted
from edge_agent.advice.remedy import remedy_for
from edge_agent.device.interpreter import require_64_bit
from edge_agent.errors import EdgeAgentError
from edge_agent.printable import printable_lines

COMMANDS = {
    "run": "run the daemon",
    "try": "say what int8 saves for a model here, and write a manifest to begin with",
    "quantize": "quantize a model with data from files, and judge the result",
    "capture": "show the samples of a sensor, and store them for quantize",
    "status": "show jobs and active releases of this device",
    "releases": "list the releases on this device",
    "rollback": "make a model's previous release active again",
    "recalibrate": "calibrate the active model again, with new data",
    "cancel": "end a job",
    "forget": "reset a model's name, so that any version may follow",
    "clock": "show the time that decides about expiry, or reset it",
    "doctor": "check everything that the daemon needs, and name the remedies",
    "check-config": "check the configuration file",
    "init": "write the configuration: asks for device id, broker and sensor",
    "install": "install edge-agent as a systemd service",
    "completion": "print a script that lets a shell complete these commands",
}
_NEED_RUNTIMES = {"run", "try", "quantize", "install"}
_STAY_ROOT = {"try", "quantize", "capture", "doctor", "check-config", "init", "install", "completion"}
"""These do not touch the state directory, or act as its owner only while they read it. All others become its owner."""
_SHARED_MODULES = {
    "try": "trial.command", "rollback": "order", "recalibrate": "order", "cancel": "order", "forget": "order",
}  # fmt: skip
"""Commands that share a module, or whose name no module may have."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
EXIT_INTERNAL, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

_EPILOG = """\
examples:
  edge-agent try model.onnx --data recordings
  edge-agent quantize model.onnx --calibration c.npz --heldout h.npz --out result
  edge-agent check-config --config ./config.toml
  edge-agent run --config ./config.toml
  edge-agent status
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (default: this process's arguments); returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else ""
    if command not in COMMANDS:
        parser, subparsers = new_parser()
        for name, text in COMMANDS.items():
            subparsers.add_parser(name, help=text)
        if command and not command.startswith("-"):
            from edge_agent.strict import did_you_mean  # noqa: PLC0415  # msgspec, and --version needs nothing

            parser.error(f"no command {command!r}{did_you_mean(command, COMMANDS)}")
        parser.parse_args(arguments or ["--help"])  # prints help, or the error, and exits
        return EXIT_USAGE
    level = logging.INFO if command == "run" else logging.WARNING  # a command's result is not a log
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        return _run(command, arguments)
    except EdgeAgentError as error:
        if error.code == "usage":
            return _refused(command, error.message, EXIT_USAGE)
        code = EXIT_USAGE if error.code == "permission_denied" else EXIT_INTERNAL
        return _refused(command, f"{error.message} ({error.code})", code, remedy_for(error.code, error.message))
    except PermissionError as error:
        if command == "run":
            raise  # the reader of a daemon's log needs the place
        said = not_permitted(error.filename or "a file", mode=os.R_OK | os.W_OK)
        return _refused(command, f"{said} (permission_denied)", EXIT_USAGE)
    except OSError as error:
        if command == "run" or not error.filename:
            raise
        text = f"{error.filename}: {error.strerror}; check the path, and the space there"
        return _refused(command, text, EXIT_INTERNAL if error.errno in _FULL else EXIT_USAGE)
    except ModuleNotFoundError as error:
        if sentence := lacking([error.name or ""]):
            return _refused(command, sentence, EXIT_USAGE)
        raise
    except KeyboardInterrupt:
        return _refused(command, "interrupted", EXIT_INTERRUPTED)


def new_parser() -> tuple[argparse.ArgumentParser, "argparse._SubParsersAction[argparse.ArgumentParser]"]:
    """The parser of ``edge-agent`` without commands, and the object that takes their parsers."""
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="Quantizes float models to int8 on the device that runs them, and proves what it did.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_version(parser)
    return parser, parser.add_subparsers(dest="command", metavar="COMMAND", required=True)


def module_of(command: str) -> str:
    """The name of the module that has a command."""
    return f"edge_agent.cli.{_SHARED_MODULES.get(command, command.replace('-', '_'))}"


def add_command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", command: str
) -> tuple[argparse.ArgumentParser, ModuleType]:
    """Add a command to a new parser; returns the command's parser and its module."""
    module = import_module(module_of(command))
    module.add_parser(subparsers)
    _add_version(subparsers.choices[command])
    return subparsers.choices[command], module


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=f"edge-agent {__version__}")


def _run(command: str, arguments: Sequence[str]) -> int:
    parser, subparsers = new_parser()
    own, module = add_command(subparsers, command)
    _check_options(own, arguments[1:])
    args = parser.parse_args(arguments)
    if command in _NEED_RUNTIMES:
        require_64_bit()
    if command not in _STAY_ROOT and os.geteuid() == 0:
        from edge_agent.cli.device import state_dir  # noqa: PLC0415  # --help needs no configuration
        from edge_agent.cli.owner import become_owner  # noqa: PLC0415

        become_owner(state_dir(args), starts_python=command == "run")
    code: int = module.run(args)
    return code


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """The long options of a command's parser."""
    return [
        option
        for action in parser._actions  # noqa: SLF001  # argparse has no other way to ask
        for option in action.option_strings
        if option.startswith("--")
    ]


def _check_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """End with an error that names the nearest option. For a misspelt one argparse only reports a missing other one."""
    known = options_of(parser)
    for word in words:
        name = word.partition("=")[0]
        if word == "--":
            return
        if name.startswith("--") and not any(option.startswith(name) for option in known):
            from edge_agent.strict import did_you_mean  # noqa: PLC0415  # only a mistake pays for it

            parser.error(f"no option {name}{did_you_mean(name, known)}")


def _refused(command: str, why: str, code: int, to_do: str = "") -> int:
    print(printable_lines(f"edge-agent {command}: {why}"), file=sys.stderr)
    if to_do:
        print(printable_lines(f"  to do: {to_do}"), file=sys.stderr)
    return code
