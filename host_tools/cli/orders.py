"""``host-tools rollback | recalibrate | cancel | forget``: sends a signed command to devices, and shows the answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from edge_agent.wire.manifest import MAX_VERSION
from host_tools.broker.commands import Answer, exit_of_answers, order
from host_tools.cli.options import Connection, Whom, name_of
from host_tools.display.console import stdout_console

_CENTURY_H = 876_000.0

Model = Annotated[str, typer.Argument(metavar="MODEL", help="the model's name")]
Version = Annotated[
    int,
    typer.Option(
        "--version",
        metavar="N",
        min=0,
        max=MAX_VERSION,
        help="the active version; 0: the one that devices report",
    ),
]


@dataclass(frozen=True, kw_only=True)
class _Patience(Whom):
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", min=0, help="how long to wait for answers")] = (
        120.0
    )
    expires: Annotated[
        float,
        typer.Option(
            "--expires", metavar="HOURS", min=0.001, max=_CENTURY_H, help="hours for which a device executes it"
        ),
    ] = 24.0


@dataclass(frozen=True, kw_only=True)
class OrderOptions(Connection, _Patience):
    """The options of every order; help lists a later base's options first."""


def rollback(context: typer.Context, *, model: Model, version: Version = 0) -> None:
    """Go back to the release that was active before."""
    _send(context.obj, action="rollback", model=model, version=version)


def recalibrate(context: typer.Context, *, model: Model, version: Version = 0) -> None:
    """Capture, quantize and judge again.

    A new job for the version that is active; the answer names the job.
    """
    _send(context.obj, action="recalibrate", model=model, version=version)


def forget(context: typer.Context, *, model: Model) -> None:
    """Forget a model's name.

    Its jobs end, and its next push may have any version. The active release stays active. Orders signed before this
    become invalid.
    """
    _send(context.obj, action="forget", model=model)


def cancel(context: typer.Context, *, job: Annotated[str, typer.Argument(metavar="JOB", help="the job's id")]) -> None:
    """End a job. Without --device, --group or --all: on every device that works on it."""
    _send(context.obj, action="cancel", job=job)


def _send(options: OrderOptions, **what: Any) -> None:
    """Send ``what``, print the answers and exit; a job without targets goes to every device that works on it."""
    settings = options.settings(sign=options.sign)
    for kind in what.keys() & {"model", "job"}:
        name_of(what[kind], kind)
    whom = None if "job" in what and not options.anyone else options.scopes()
    answers = order(settings, whom, timeout_s=options.timeout, expires_h=options.expires, **what)
    code = exit_of_answers(answers)
    if options.as_json:
        fields = {name: {"code": answer.code, "message": answer.message} for name, answer in answers.items()}
        print(json.dumps({"event": "summary", "exit": code, "devices": fields}))
    else:
        show_answers(answers)
    raise typer.Exit(code)


def show_answers(answers: Mapping[str, Answer]) -> None:
    """Print the answer of each device."""
    console = stdout_console()
    for name, answer in answers.items():
        word = (answer.code, "red") if answer.code else ("done", "green")
        console.print(Text.assemble((name, "bold"), "  ", word, f"  {answer.message}"))
