"""The ``edge-agent`` command. Each subcommand is a module here; only the one that is asked for is imported.

So the daemon's process holds nothing of ``quantize``, and a broken runtime does not keep ``status`` from answering.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from edge_agent import __version__
from edge_agent.device.interpreter import require_64_bit
from edge_agent.errors import ConfigError, EdgeAgentError

COMMANDS = {
    "run": "run the daemon",
    "quantize": "quantize a model with data from files, and judge the result",
    "capture": "look at what a sensor sends, and keep it for quantize",
    "status": "show jobs and active releases of this device",
    "releases": "list the releases on this device",
    "rollback": "make a model's previous release active again",
    "recalibrate": "calibrate the active model again, with new data",
    "cancel": "end a job",
    "doctor": "check everything the daemon needs, and say what to do",
    "check-config": "check the configuration file",
    "install": "install edge-agent as a systemd service",
}
_NEED_RUNTIMES = {"run", "quantize", "install"}
_SHARED_MODULES = {"rollback": "order", "recalibrate": "order", "cancel": "order"}
EXIT_INTERNAL, EXIT_USAGE = 1, 2

_EPILOG = """\
examples:
  edge-agent quantize model.onnx --calibration c.npz --heldout h.npz --out result
  edge-agent check-config --config ./config.toml
  edge-agent run --config ./config.toml
  edge-agent status
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` (default: this process's arguments); returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="Quantizes float models to int8 on the device that runs them, and proves what it did.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edge-agent {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    command = arguments[0] if arguments else ""
    if command not in COMMANDS:
        for name, text in COMMANDS.items():
            subparsers.add_parser(name, help=text)
        parser.parse_args(arguments)  # prints help, or says what is wrong, and exits
        return EXIT_USAGE
    module = import_module(f"edge_agent.cli.{_SHARED_MODULES.get(command, command.replace('-', '_'))}")
    module.add_parser(subparsers)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        if command in _NEED_RUNTIMES:
            require_64_bit()
        code: int = module.run(args)
    except ConfigError as error:
        print(f"edge-agent {command}: {error.message}", file=sys.stderr)
        return EXIT_USAGE
    except EdgeAgentError as error:
        print(f"edge-agent {command}: {error.message} ({error.code})", file=sys.stderr)
        return EXIT_INTERNAL
    return code
