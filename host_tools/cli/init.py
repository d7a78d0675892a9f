"""``host-tools init``: writes the operator's file and key, and tries the broker."""

import getpass
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.errors import BrokerError, ConfigError
from edge_agent.settings.broker import parse_url
from edge_agent.strict import counted, read_toml
from host_tools.broker.registry import read_devices
from host_tools.broker.session import Session, to_stderr
from host_tools.broker.settings import Settings, load_settings, settings_path
from host_tools.broker.signing import ensure_public_half, generate_key, public_half, read_key
from host_tools.cli.options import Connection
from host_tools.exits import INTERRUPTED
from host_tools.invocation import typed
from host_tools.setup.broker_account import account_steps
from host_tools.setup.host_file import host_file_text, write_private

_PATIENCE_S = 10.0
_SHOWN = 10
_FILES = ("ca_file", "cert_file", "key_file", "password_file", "sign")
_TRUSTED_KEYS = "/etc/edge-agent/trusted-keys/"
_FIRST_BROKER = "mqtt://localhost"


@dataclass(frozen=True, kw_only=True)
class InitOptions(Connection):
    """The content of the file, and how to make it."""

    sign: Annotated[
        str | None,
        typer.Option(
            "--sign",
            metavar="KEY",
            show_default=False,
            help="the private key that signs; made if there is no such file; if not given, operator.key beside the "
            "file",
        ),
    ] = None
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="sign nothing; only devices with allow_unsigned obey")
    ] = False
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing: use the options and the defaults")] = False
    untested: Annotated[bool, typer.Option("--untested", help="write the file without trying the broker")] = False
    force: Annotated[bool, typer.Option("--force", help="change a file that exists: its values are the defaults")] = (
        False
    )


def init(context: typer.Context) -> None:
    """Write the file that tells other commands the broker.

    Asks for the broker, the user and the key, tries the connection, and writes ~/.config/edge-agent/host.toml. Prints
    the steps that are left on the devices and on the broker's machine. Where there is no terminal, nothing is asked.
    """
    options: InitOptions = context.obj
    if options.sign and options.unsigned:
        raise ConfigError("usage", "--sign and --unsigned contradict each other; give one of them")
    path = settings_path()
    if path.exists() and not options.force:
        raise ConfigError("usage", f"{path} exists; give --force to change it")
    before = read_toml(path) if path.exists() else {}
    given = {field.name: getattr(options, field.name) for field in fields(Connection) if field.name != "as_json"}
    table = before | {key: value for key, value in given.items() if value is not None}
    asks = sys.stdin.isatty() and not options.yes and not options.as_json
    try:
        password = _completed(table, given, asks=asks)
        table["sign"] = _key_path(options, before, path, asks=asks)
    except typer.Abort:
        to_stderr("\nnothing was written")
        raise typer.Exit(INTERRUPTED) from None
    _make(options, path, table, password)


def _make(options: InitOptions, path: Path, table: dict[str, Any], password: str) -> None:
    """Try the broker, then write everything; nothing stays on the disk if the broker does not answer."""
    table |= {key: str(Path(str(table[key])).expanduser().absolute()) for key in _FILES if table.get(key)}
    key = Path(table["sign"]) if table["sign"] else None
    makes_key = key is not None and not key.exists()
    signer = None if key is None or makes_key else read_key(key)
    secret = path.with_name("broker-password")
    public: Path | None = None
    typed_now = secret.with_name(f"{secret.name}.new")  # a former password stays until the broker takes this one
    if password:
        write_private(typed_now, password + "\n")
        table["password_file"] = str(typed_now)
    try:
        settings = load_settings({**table, "sign": ""}, path)
        devices = None if options.untested else _tried(settings)
        if key is not None and makes_key:
            key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            generate_key(key, public_half(key))
            public = public_half(key)
        elif key is not None and signer is not None:
            public = _kept_public_half(signer, key)
    except OSError as error:
        typed_now.unlink(missing_ok=True)
        raise ConfigError("usage", f"{error.filename}: {error.strerror}") from None
    except BaseException:  # Ctrl-C, too: no password stays that nobody asked to keep
        typed_now.unlink(missing_ok=True)
        raise
    if password:
        typed_now.replace(secret)
        table["password_file"] = str(secret)
    write_private(path, host_file_text(table))
    _report(options, path, settings, (key, public), devices, makes_key=makes_key)


def _kept_public_half(signer: Ed25519PrivateKey, key: Path) -> Path | None:
    """The public half of a key that exists, written if it is missing; None, with a warning, if that cannot be."""
    public = public_half(key)
    try:
        ensure_public_half(signer, public)
    except ConfigError as error:
        to_stderr(f"warning: {error.message}")
        to_stderr(f"The devices need the public half: openssl pkey -in {key} -pubout -out FILE.pem")
        return None
    return public


def _completed(table: dict[str, Any], given: dict[str, Any], *, asks: bool) -> str:
    """Fill what no option gives by asking for it; returns a password that was typed, empty: none was."""
    if not asks:
        if not table.get("broker"):
            raise ConfigError("usage", "no broker: give --broker mqtt://HOST, or run this on a terminal to be asked")
        return ""
    to_stderr("Enter takes what stands in brackets.")
    if given["broker"] is None:
        table["broker"] = _asked("broker URL", table.get("broker") or _FIRST_BROKER, _no_url)
    if given["ca_file"] is None and parse_url(table["broker"]).tls:
        question = "file of the CA that signed the broker's certificate (the system's CAs: -)"
        table["ca_file"] = _asked(question, table.get("ca_file") or "-", _no_file)
    if given["username"] is None:
        table["username"] = _asked("user name at the broker (none: -)", table.get("username") or "-", lambda _text: "")
    if not table["username"] or table.get("password_file"):
        return ""
    try:
        return getpass.getpass(f"password of {table['username']} (empty: none): ")
    except (KeyboardInterrupt, EOFError):
        raise typer.Abort from None


def _key_path(options: InitOptions, before: dict[str, Any], path: Path, *, asks: bool) -> str:
    """The private key that signs; empty: nothing is signed."""
    if options.unsigned:
        return ""
    if options.sign:
        return options.sign
    usual = str(before.get("sign") or path.with_name("operator.key"))
    exists = Path(usual).expanduser().exists()
    question = f"sign with {usual}?" if exists else f"make the key {usual}, which signs what you send?"
    return usual if not asks or typer.confirm(question, default=True, err=True) else ""


def _asked(question: str, default: str, trouble: Callable[[str], str]) -> str:
    """The answer to a question, asked again until it has no ``trouble``; ``-`` is no value."""
    while True:
        answer = str(typer.prompt(question, default=default, err=True)).strip()
        answer = "" if answer == "-" else answer
        if not (text := trouble(answer)):
            return answer
        to_stderr(text)


def _no_url(text: str) -> str:
    try:
        parse_url(text)
    except ConfigError as error:
        return error.message
    return ""


def _no_file(text: str) -> str:
    path = Path(text).expanduser()
    return f"no such file: {path}" if text and not path.is_file() else ""


def _tried(settings: Settings) -> list[str]:
    """The devices that the broker knows; whatever is wrong with the connection is raised."""
    patience_s = min(settings.broker_timeout_s, _PATIENCE_S)
    try:
        with Session(msgspec.structs.replace(settings, broker_timeout_s=patience_s)) as session:
            return sorted(read_devices(session))
    except BrokerError as error:
        if settings.username and error.code in ("broker_refused", "snapshot_incomplete"):
            to_stderr(f"If the broker has no account for {settings.username} yet, and is a mosquitto: on its machine,")
            for line in account_steps(settings.username, settings.namespace):
                to_stderr(f"  {line}")
        to_stderr("Nothing was written; --untested writes the file without trying the broker.")
        raise


def _report(
    options: InitOptions,
    path: Path,
    settings: Settings,
    keys: tuple[Path | None, Path | None],
    devices: list[str] | None,
    *,
    makes_key: bool,
) -> None:
    key, public = keys
    if options.as_json:
        fields_ = {"file": str(path), "key": str(key or ""), "public": str(public or ""), "devices": devices}
        print(json.dumps({"event": "summary", "exit": 0, **fields_}))
        return
    if devices is not None:
        shown = ", ".join(devices[:_SHOWN]) + (", …" if len(devices) > _SHOWN else "")
        known = f"which knows {counted(len(devices), 'device')}: {shown}" if devices else "which knows no device yet"
        print(f"connected to {settings.url}, {known}")
    print(f"{path}   written")
    if key:
        print(f"{key}   {'made: keep it secret' if makes_key else 'signs what you send'}")
    if public:
        print(f"\nCopy {public} to every device, so that it obeys you, and there:")
        print(f"  sudo install -m 644 {public.name} {_TRUSTED_KEYS}")
    if settings.username:
        print(f"\nOn the broker's machine, if it is a mosquitto without an account for {settings.username}:")
        for line in account_steps(settings.username, settings.namespace):
            print(f"  {line}")
    print(f"\nNext: {typed('host-tools')} devices")
