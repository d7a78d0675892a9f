"""``host-tools``: everything that a host does with devices. ``push-model`` is the same command as its first one."""

import json
import sys
from typing import Annotated

import typer
from rich.markup import escape

from edge_agent.strict import counted
from host_tools.broker.commands import Answer, exit_of_answers, order
from host_tools.broker.purge import GRACE_S, Purged, purge
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.cli.devices import devices
from host_tools.cli.keygen import keygen
from host_tools.cli.manifest import manifest
from host_tools.cli.options import Devices, Everyone, Groups, Json, Sign, examples, new_app, scopes, with_settings
from host_tools.cli.push_model import EPILOG, push_model
from host_tools.cli.report import report
from host_tools.cli.watch import watch
from host_tools.demo.command import demo
from host_tools.display.console import stdout_console
from host_tools.exits import UNREACHABLE, run

_MIB = 1 << 20
_SHOWN = 20
_DEMO = examples(
    "host-tools demo",
    "host-tools demo --model tflite",
    "host-tools demo --keep",
    "host-tools demo --broker mqtt://127.0.0.1",
)
_MANIFEST = examples("host-tools manifest har.onnx", "host-tools manifest har.tflite --out har.toml")
_DEVICES = examples("host-tools devices --broker mqtt://broker.local", "host-tools devices --group lab --json")
_WATCH = examples("host-tools watch", "host-tools watch pi-01 pi-02 --json", "host-tools watch --job 3f2a9c0d1e5b7a86")
_REPORT = examples("host-tools report 3f2a9c0d1e5b7a86", "host-tools report har --device pi-01 --json")
_ROLLBACK = examples("host-tools rollback har --device pi-01", "host-tools rollback har --group lab --version 7")
Model = Annotated[str, typer.Argument(metavar="MODEL", help="the model's name")]
Version = Annotated[
    int, typer.Option("--version", metavar="N", min=0, help="the active version it is about; 0: the one devices report")
]
Timeout = Annotated[float, typer.Option("--timeout", metavar="S", min=0, help="wait so long for answers")]
Expires = Annotated[float, typer.Option("--expires", metavar="HOURS", min=0.001, help="until then a device obeys")]


@with_settings
def rollback(
    *,
    settings: Settings,
    model: Model,
    device: Devices = None,
    group: Groups = None,
    everyone: Everyone = False,
    version: Version = 0,
    sign: Sign = None,
    timeout: Timeout = 120.0,
    expires: Expires = 24.0,
    as_json: Json = False,
) -> None:
    """Go back to the release that was active before."""
    del sign
    answers = order(
        settings,
        scopes(device, group, everyone),
        timeout_s=timeout,
        expires_h=expires,
        action="rollback",
        model=model,
        version=version,
    )
    _end(answers, as_json=as_json)


@with_settings
def recalibrate(
    *,
    settings: Settings,
    model: Model,
    device: Devices = None,
    group: Groups = None,
    everyone: Everyone = False,
    version: Version = 0,
    sign: Sign = None,
    timeout: Timeout = 120.0,
    expires: Expires = 24.0,
    as_json: Json = False,
) -> None:
    """Capture, quantize and judge again.

    A new job for the version that is active; the answer names the job.
    """
    del sign
    answers = order(
        settings,
        scopes(device, group, everyone),
        timeout_s=timeout,
        expires_h=expires,
        action="recalibrate",
        model=model,
        version=version,
    )
    _end(answers, as_json=as_json)


@with_settings
def cancel(
    *,
    settings: Settings,
    job: Annotated[str, typer.Argument(metavar="JOB", help="the job's id")],
    device: Devices = None,
    group: Groups = None,
    everyone: Everyone = False,
    sign: Sign = None,
    timeout: Timeout = 120.0,
    expires: Expires = 24.0,
    as_json: Json = False,
) -> None:
    """End a job. Without --device, --group or --all: on every device that works on it."""
    del sign
    whom = scopes(device, group, everyone) if device or group or everyone else None
    answers = order(settings, whom, timeout_s=timeout, expires_h=expires, action="cancel", job=job)
    _end(answers, as_json=as_json)


@with_settings
def purge_broker(
    *,
    settings: Settings,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", metavar="HOURS", min=0, help="keep what was needed so recently; 0 only while nobody pushes"
        ),
    ] = GRACE_S / 3600,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be cleared")] = False,
    as_json: Json = False,
) -> None:
    """Clear from the broker what nobody needs.

    That is: blobs that no unexpired want names, once their grace is over, and commands that have ended.
    """
    with Session(settings) as session:
        purged = purge(session, settings, grace_s=grace * 3600, dry_run=dry_run)
        session.say_left(purged.refused)
    if as_json:
        print(json.dumps(purged.as_dict()))
    else:
        _say_purged(purged, "would clear" if dry_run else "cleared")
    if purged.refused:
        raise typer.Exit(UNREACHABLE)


def main() -> None:
    """The console script."""
    app = new_app("Send models to edge devices and see what becomes of them. Try: host-tools demo")
    app.command("push-model", epilog=EPILOG)(push_model)
    app.command(epilog=_MANIFEST)(manifest)
    app.command(epilog=_DEMO)(demo)
    app.command(epilog=_DEVICES)(devices)
    app.command(epilog=_WATCH)(watch)
    app.command(epilog=_REPORT)(report)
    app.command(epilog=_ROLLBACK)(rollback)
    app.command(epilog=examples("host-tools recalibrate har --device pi-01"))(recalibrate)
    app.command(epilog=examples("host-tools cancel 3f2a9c0d1e5b7a86"))(cancel)
    app.command("purge", epilog=examples("host-tools purge --dry-run", "host-tools purge --grace 0"))(purge_broker)
    app.command(epilog=examples("host-tools keygen operator"))(keygen)
    sys.exit(run(app))


def _end(answers: dict[str, Answer], *, as_json: bool) -> None:
    code = exit_of_answers(answers)
    if as_json:
        said = {name: {"code": answer.code, "message": answer.message} for name, answer in answers.items()}
        print(json.dumps({"event": "summary", "exit": code, "devices": said}))
    else:
        console = stdout_console()
        for name, answer in answers.items():
            word = f"[red]{escape(answer.code)}[/]" if answer.code else "[green]done[/]"
            console.print(f"[bold]{escape(name)}[/]  {word}  {escape(answer.message)}")
    raise typer.Exit(code)


def _say_purged(purged: Purged, verb: str) -> None:
    for blob in purged.blobs:
        print(f"{verb} blob {blob.sha256[:16]}… ({blob.size_bytes / _MIB:.1f} MiB)")
    for blob in purged.waiting:
        print(f"waits for its grace to end: blob {blob.sha256[:16]}… ({blob.size_bytes / _MIB:.1f} MiB)")
    for topic in purged.messages:
        print(f"{verb} {topic}")
    for topic in purged.refused[:_SHOWN]:
        print(f"refused by the broker: {topic}")
    if len(purged.refused) > _SHOWN:
        print(f"refused by the broker: {len(purged.refused) - _SHOWN} more")
    cleared = f"{counted(len(purged.blobs), 'blob')} and {counted(len(purged.messages), 'message')}"
    print(f"{verb} {cleared}; in use: {counted(purged.kept, 'blob')}")
