"""``edge-agent init``: writes the configuration from a few answers, and tries the broker.

    edge-agent init
    edge-agent init --broker mqtt://broker.local --sensor serial:/dev/ttyUSB0 --channels ax,ay,az --rate-hz 50 --yes

The file is the shipped reference with the answers filled in, so every other key stands there with its default and what
it means. A broker that does not answer is reported, and stops nothing.
"""

import argparse
import tomllib
from pathlib import Path

from edge_agent.advice.installation import absent
from edge_agent.cli.doctor_checks import check_broker
from edge_agent.cli.initial.config_text import filled_in, shipped_example, with_sensor
from edge_agent.cli.initial.questions import Answers, Questions
from edge_agent.cli.initial.sensors import KINDS
from edge_agent.cli.installation.former_configs import unedited_configs
from edge_agent.cli.installation.host import PREFIX, REQUIRED, WITHOUT, make_folder, write
from edge_agent.errors import ConfigError
from edge_agent.process.layers import missing, without
from edge_agent.settings.device import DEFAULT_PATH, Config, parse_config

_EPILOG = """\
examples:
  sudo edge-agent init
  edge-agent init --config ./config.toml --broker mqtt://broker.local --allow-unsigned
  edge-agent init --yes --broker mqtts://broker.local --ca-file ca.pem --username pi-01 --password-file password \\
      --sensor serial:/dev/ttyUSB0 --channels ax,ay,az --rate-hz 50
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``init`` command."""
    parser = subparsers.add_parser(
        "init",
        help="write the configuration: asks for device id, broker and sensor",
        description="Writes the configuration with the answers to a few questions; an option answers its question "
        "beforehand, and --yes takes the default of the others.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"default: {DEFAULT_PATH}")
    parser.add_argument("--device-id", metavar="ID", help="default: this host's name")
    parser.add_argument("--broker", metavar="URL", help="mqtt://HOST[:PORT], or mqtts:// with TLS")
    parser.add_argument("--ca-file", metavar="FILE", help="the CA of the broker's certificate; default: the system's")
    parser.add_argument("--username", metavar="NAME", help="at the broker")
    parser.add_argument("--password-file", metavar="FILE", help="with the password in its first line")
    parser.add_argument("--keys-dir", metavar="DIR", help="public keys of those who may send models")
    parser.add_argument("--allow-unsigned", action="store_true", help="anybody may send models; on a closed network")
    parser.add_argument("--sensor", metavar="KIND:WHERE", help=f"{', '.join(KINDS)}; or none")
    parser.add_argument("--sensor-name", metavar="NAME", help="what manifests call it")
    parser.add_argument("--channels", metavar="A,B", help="of the sensor, in its order")
    parser.add_argument("--rate-hz", type=float, metavar="HZ", help="samples a second")
    parser.add_argument("--baud", type=int, default=115_200, metavar="N", help="of a serial port (default: 115200)")
    parser.add_argument("--state-dir", metavar="DIR", help="where jobs and releases go")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("--force", action="store_true", help="replace a configuration that is there")


def run(args: argparse.Namespace) -> int:
    """Ask, write and try the broker; raises ``ConfigError`` (usage) before anything is written."""
    example = shipped_example()
    _check_place(args, example)
    text = config_text(example, Questions(args).answers())
    config = _checked(text, args.config)
    write(args.config, text)
    if not config.trust.allow_unsigned:
        make_folder(Path(config.trust.keys_dir))
    if lacking := missing():
        print(f"important  {without(lacking)}; so the file has {WITHOUT}")
    check = next(check_broker(config, None))
    print(f"broker     {'ok: ' if check.level == 'ok' else ''}{check.detail}")
    if check.remedy:
        print(f"           to do: {check.remedy}")
    _print_next(args.config, config)
    return 0


def config_text(example: str, answers: Answers) -> str:
    """The example with the answers."""
    text = with_sensor(filled_in(example, answers.values), answers.sensor, answers.source)
    return text.replace(REQUIRED, WITHOUT) if missing() else text


def _check_place(args: argparse.Namespace, example: str) -> None:
    """Raise ``ConfigError`` for an edited file. The unedited file of ``install`` may be replaced."""
    path = args.config
    if path.is_dir():
        raise ConfigError("usage", f"--config {path} is a folder; name a file")
    if path.exists() and not args.force and _text(path) not in unedited_configs(example, PREFIX):
        raise ConfigError("usage", f"{path} exists already; edit it, or give --force to replace it")


def _text(path: Path) -> str | None:
    """The text of a file; None if it is not text or cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _checked(text: str, path: Path) -> Config:
    """The parsed configuration, after every check of ``check-config``."""
    config = parse_config(tomllib.loads(text), str(path))
    if config.sources and not absent("numpy"):
        from edge_agent.sources import check_table  # noqa: PLC0415  # numpy

        for name, table in config.sources.items():
            check_table(name, table)
    return config


def _print_next(path: Path, config: Config) -> None:
    where = "" if path == DEFAULT_PATH else f" --config {path}"
    print("\nnext:")
    if not config.trust.allow_unsigned:
        print(f"  copy the public keys (*.pem) of those who may push to {config.trust.keys_dir}")
    if not config.sources:
        print(f"  add a [sources.NAME] to {path}; without one no model can be calibrated")
    print(f"  edge-agent doctor{where}")
    print("  sudo systemctl enable --now edge-agent" if not where else f"  edge-agent run{where}")
