"""``push-model``: sends a float model to devices and shows the results. Also ``host-tools push-model``."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from host_tools.broker.job_tracker import DeviceOutcome
from host_tools.cli.options import Connection, Whom, examples, new_app, taking
from host_tools.display.console import stdout_console
from host_tools.display.progress import open_display
from host_tools.display.result_table import show, to_do
from host_tools.exits import run
from host_tools.push.push import PushRequest, announced, push
from host_tools.push.sending import PushResult

_CENTURY_DAYS = 36_500.0
EPILOG = examples(
    "push-model har.onnx --manifest har.toml --device pi-01 --broker mqtt://broker.local",
    "push-model har.tflite --manifest har.toml --group lab --sign operator.key --json",
    note="Exit: 0 succeeded everywhere, 1 internal error, 2 usage, 3 broker unreachable, 4 rejected somewhere, "
    "5 failed somewhere, 6 not trusted, 7 timed out, 8 canceled, superseded or no longer active, 130 Ctrl-C. "
    "Connection options have their defaults in ~/.config/edge-agent/host.toml.",
)


@dataclass(frozen=True, kw_only=True)
class PushOptions(Connection, Whom):
    """The options that a push shares with other commands."""


def push_model(
    context: typer.Context,
    *,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="the float model: *.onnx or *.tflite")],
    manifest: Annotated[Path, typer.Option("--manifest", metavar="M.toml", help="the model's manifest")],
    evaluation: Annotated[
        Path | None,
        typer.Option(
            "--eval",
            metavar="E.npz",
            show_default=False,
            help="a labelled set to prove accuracy on: input tensors of the model, not raw windows, and 'labels'",
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="return once the broker has everything")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="S", min=0, show_default=False, help="how long to wait; default: capture time + 15 min"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the manifest and what would be sent")] = False,
    expires: Annotated[
        float,
        typer.Option(
            "--expires", metavar="DAYS", min=0.001, max=_CENTURY_DAYS, help="days after which no device starts it"
        ),
    ] = 30.0,
    max_broker_bytes: Annotated[
        int | None,
        typer.Option("--max-broker-bytes", metavar="N", show_default=False, help="refuse to fill the broker further"),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="try a judged model again, as the next version, whatever the manifest says "
            "(for the active release use host-tools recalibrate)",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="send a version that is more than 1,000 above the known ones")
    ] = False,
) -> None:
    """Send a float model and show the results.

    Each device calibrates it with its own sensors, quantizes it to int8, proves it against float, measures both, and
    activates the int8 model if it passes every gate. Ctrl-C leaves the job running.
    """
    options: PushOptions = context.obj
    settings = options.settings(sign=options.sign, max_broker_bytes=max_broker_bytes)
    request = PushRequest(
        model=model,
        manifest=manifest,
        scopes=options.scopes(),
        evaluation=evaluation,
        expires_days=expires,
        wait=not no_wait,
        timeout_s=timeout,
        dry_run=dry_run,
        again=again,
        force=force,
    )
    with open_display(as_json=options.as_json) as display:
        result = push(settings, request, display)
        if not dry_run:
            display.summary(result.summary)
    if dry_run:
        print(json.dumps(announced(request, result), indent=None if options.as_json else 2))
    elif not options.as_json:
        show(result.reports)
        _show_silent(result)
    raise typer.Exit(result.exit)


_UNREPORTED = (DeviceOutcome.PENDING, DeviceOutcome.REFUSED, DeviceOutcome.IGNORED, DeviceOutcome.INACTIVE)


def _show_silent(result: PushResult) -> None:
    """Print the devices whose report does not show their state, each with the reason."""
    console = stdout_console()
    for name, fields in result.devices.items():
        if fields["end"] in _UNREPORTED:
            words = f"{fields['end']} {fields['code']}".rstrip()
            console.print(Text.assemble((name, "bold"), f"  {words}\n  {fields['message']}"))
            if remedy := to_do(fields["end"], fields["code"], fields["message"]):
                console.print(f"  to do: {remedy}")


def main() -> None:
    """The console script."""
    app = new_app()
    app.command(epilog=EPILOG, cls=taking(PushOptions))(push_model)
    sys.exit(run(app))
