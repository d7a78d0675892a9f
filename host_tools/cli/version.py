"""The option ``--version`` of every command, unless that word is an option of its own (a model's version)."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from edge_agent import __version__


def _say_version(context: typer.Context, asked: bool) -> None:  # noqa: FBT001  # typer calls it so
    if asked:
        print(f"{context.find_root().info_name} {__version__}")
        raise typer.Exit


ShowVersion = Annotated[
    bool, typer.Option("--version", help="print the version and exit", callback=_say_version, is_eager=True)
]


def _nothing(*, _version: ShowVersion = False) -> None:
    """A function that carries the option."""


def _option() -> Any:
    """The option as typer makes it, without a parameter of the command's function."""
    reader = typer.Typer(add_completion=False)
    reader.command()(_nothing)
    (option,) = typer.main.get_command(reader).params
    option.expose_value = False
    return option


class VersionedCommand(TyperCommand):
    """A command with the option ``--version``."""

    def __init__(self, *arguments: Any, params: list[Any], **more: Any) -> None:
        own = {name for one in params for name in one.opts}
        super().__init__(*arguments, params=[*params, *([] if "--version" in own else [_option()])], **more)
