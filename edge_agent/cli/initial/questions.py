"""The questions of ``edge-agent init``: an option may answer each, and most have a safe default."""

import argparse
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.cli.initial.sensors import Sensor, found_sensors, parse_sensor
from edge_agent.cli.installation.host import device_name
from edge_agent.errors import ConfigError, WireError
from edge_agent.settings.broker import parse_url
from edge_agent.settings.device import DEFAULT_PATH, DEFAULT_STATE_DIR, Trust
from edge_agent.wire.topics import check_name

_RATES = {"camera": 30.0, "audio": 16_000.0}
_NAMES = {"serial": "imu", "camera": "camera", "iio": "imu", "audio": "mic", "replay": "recorded"}
_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers: values of the configuration's tables, and the sensor's table."""

    device_id: str
    state_dir: str
    mqtt: dict[str, str]
    keys_dir: str
    allow_unsigned: bool
    sensor: str
    source: dict[str, Any]

    @property
    def values(self) -> dict[tuple[str, str], Any]:
        """(table, key) → value."""
        return {
            ("", "device_id"): self.device_id,
            ("", "state_dir"): self.state_dir,
            **{("mqtt", key): value for key, value in self.mqtt.items()},
            ("trust", "keys_dir"): self.keys_dir,
            ("trust", "allow_unsigned"): self.allow_unsigned,
        }


class Questions:
    """Asks on the terminal for each answer that no option gives."""

    def __init__(self, args: argparse.Namespace, root: Path = Path("/")) -> None:
        self._args = args
        self._root = root

    def answers(self) -> Answers:
        """Every answer; raises ``ConfigError`` (usage) for an option that is wrong, or a question without an answer."""
        args = self._args
        home = DEFAULT_PATH.parent if args.config == DEFAULT_PATH else args.config.absolute().parent
        in_place = args.config == DEFAULT_PATH
        device_id = self._ask(
            "device_id", "Name of this device in topics and reports", device_name(platform.node()), _device_id
        )
        mqtt = self._broker()
        unsigned = self._unsigned()
        sensor, source = self._sensor()
        return Answers(
            device_id=device_id,
            state_dir=_text(args.state_dir or "") or (DEFAULT_STATE_DIR if in_place else str(home / "state")),
            mqtt=mqtt,
            keys_dir=_text(args.keys_dir or "") or (Trust().keys_dir if in_place else str(home / "trusted-keys")),
            allow_unsigned=unsigned,
            sensor=sensor,
            source=source,
        )

    def _broker(self) -> dict[str, str]:
        url = self._ask("broker", "Broker (mqtt://HOST, or mqtts://HOST with TLS)", "mqtt://127.0.0.1", _url)
        found = {"url": url}
        if parse_url(url).tls:
            question = "File with the CA of the broker's certificate (empty: the system's)"
            found["ca_file"] = self._ask("ca_file", question, "", _absolute)
        elif self._args.ca_file:
            raise ConfigError("usage", "--ca-file is for TLS; give --broker mqtts://HOST, too")
        found["username"] = self._ask("username", "User name at the broker (empty: none)", "", str)
        if found["username"]:
            question = "File with the password in its first line"
            found["password_file"] = self._ask("password_file", question, "", _absolute)
        elif self._args.password_file:
            raise ConfigError("usage", "--password-file needs --username, too")
        return found

    def _unsigned(self) -> bool:
        if self._args.allow_unsigned and self._args.keys_dir:
            text = "--allow-unsigned lets anybody send models, --keys-dir names those who may; give one of them"
            raise ConfigError("usage", text)
        if self._args.allow_unsigned or self._args.keys_dir or self._args.yes:
            return bool(self._args.allow_unsigned)
        print("Who may send models? Those whose keys lie on this device, or anybody who can write to the broker.")
        anybody: bool = self._ask("", "Anybody, on a closed network for a trial only (yes or no)", "no", _yes)
        return anybody

    def _sensor(self) -> tuple[str, dict[str, Any]]:
        found = found_sensors(self._root)
        if self._args.sensor is None and not self._args.yes:
            print("Sensors here:" if found else "No serial port, camera or IIO sensor was found here.")
            for number, one in enumerate(found, 1):
                print(f"  {number}  {one}")
        default = "1" if found else "none"
        question = "Sensor: a number, KIND:WHERE (serial, camera, iio, audio, replay), or none"
        chosen = self._ask("sensor", question, "none" if self._args.yes else default, lambda text: _sensor(text, found))
        if chosen is None:
            return "", {}
        name = self._ask("sensor_name", "What manifests call it", _NAMES[chosen.kind], _source_name)
        return name, self._table(chosen)

    def _table(self, sensor: Sensor) -> dict[str, Any]:
        place = {"serial": "port", "replay": "path"}.get(sensor.kind, "device")
        where = _absolute(sensor.where) if sensor.kind == "replay" else sensor.where
        table: dict[str, Any] = {"kind": sensor.kind, **({place: where} if where else {})}
        rate = _RATES.get(sensor.kind) if self._args.rate_hz is None else _rate(str(self._args.rate_hz))
        match sensor.kind:
            case "serial" | "iio":
                question = "Its channels, in the order of its numbers, with commas between them"
                table["channels"] = self._ask("channels", question, ",".join(sensor.channels) or None, _channels)
                table["rate_hz"] = self._ask("rate_hz", "Samples a second", None, _rate)
                if sensor.kind == "serial":
                    table["baud"] = self._args.baud
            case "camera":
                table |= {"width": 320, "height": 240, "rate_hz": rate}
            case "audio":
                table |= {"channels": ["mono"], "rate_hz": rate}
            case "replay" if rate is not None:
                table["rate_hz"] = rate
        return table

    def _ask(self, option: str, question: str, default: str | None, read: Callable[[str], Any]) -> Any:
        """The answer that ``option`` gives, or somebody at the terminal; None as default: there is no safe one."""
        given = getattr(self._args, option) if option else None
        if given is not None:
            return read(_text(str(given)))
        flag = f"--{option.replace('_', '-')}"
        if self._args.yes:
            if default is None:
                raise ConfigError("usage", f"{flag} is missing; give it with this sensor")
            return read(default)
        while True:
            try:
                text = input(f"{question}{f' [{default}]' if default else ''}: ").strip()
            except EOFError:
                give = f"give {flag}, or --yes for the defaults" if option else "give --yes for the defaults"
                raise ConfigError("usage", f"nobody answers; {give}") from None
            if not text and default is None:
                continue
            try:
                return read(_text(text) or default or "")
            except ConfigError as error:
                print(f"  {error.message}")


def _text(text: str) -> str:
    """Return a printable answer; raises ``ConfigError`` for others, because a terminal may send invalid UTF-8."""
    if not text.isprintable():
        raise ConfigError("usage", f"{text!r} has characters that cannot be printed; give it without them")
    return text


def _device_id(text: str) -> str:
    try:
        return check_name(text, "device_id")
    except WireError as error:
        raise ConfigError("usage", error.message) from None


def _url(text: str) -> str:
    url = text if "://" in text else f"mqtt://{text}"
    parse_url(url, "--broker")
    return url


def _absolute(text: str) -> str:
    """An absolute path, which does not depend on the daemon's working directory."""
    return str(Path(text).absolute()) if text else ""


def _yes(text: str) -> bool:
    if text.lower() not in ("yes", "y", "no", "n"):
        raise ConfigError("usage", f"{text!r} is neither yes nor no; give one of them")
    return text.lower().startswith("y")


def _sensor(text: str, found: Sequence[Sensor]) -> Sensor | None:
    if text.isdigit():
        if not 1 <= int(text) <= len(found):
            raise ConfigError("usage", f"there is no sensor {text} in the list; give KIND:WHERE or none")
        return found[int(text) - 1]
    chosen = parse_sensor(text)
    return next((one for one in found if chosen is not None and str(one) == str(chosen)), chosen)


def _source_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ConfigError("usage", f"{text!r} is no name of a source; use letters, digits, _ and -")
    return text


def _channels(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise ConfigError("usage", "give each channel a name of its own, with commas between them")
    return names


def _rate(text: str) -> float | int:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1e6:  # noqa: PLR2004  # what sources allow
        raise ConfigError("usage", f"{text!r} is no rate; give samples a second, above 0 and up to 1,000,000")
    return int(rate) if rate.is_integer() else rate
