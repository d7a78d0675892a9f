"""``host-tools manifest``: drafts a manifest for a model, with every key."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.draft.manifest import draft, model_name
from edge_agent.errors import ConfigError, WireError
from edge_agent.model_file.signature import read_signature
from edge_agent.wire.topics import check_name
from host_tools.invocation import typed
from host_tools.push.manifest_file import model_format


def manifest(
    *,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="the float model: *.onnx or *.tflite")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="M.toml", show_default=False, help="write it to this file instead of stdout"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", show_default=False, help="the model's name; default: that of its file"),
    ] = None,
) -> None:
    """Draft a manifest for a model.

    It contains the window that the input suggests, a guess at the output, and every key with its default and meaning.
    Fill in source and channels yourself.
    """
    model_format(model)
    if not model.is_file():
        raise ConfigError("usage", f"{model}: no such file")
    try:
        chosen = check_name(model_name(model.stem) if name is None else name)
    except WireError as error:
        raise ConfigError("usage", f"--name: {error.message}") from None
    signature = read_signature(model)
    if signature is None:
        print(f"the inputs of {model} cannot be read here; correct window and steps by hand", file=sys.stderr)
    text = draft(model.name, chosen, signature)
    if out is None:
        print(text, end="")
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError("usage", f"{out} exists already; remove it, or give another --out") from None
    except OSError as error:
        raise ConfigError("usage", f"{out}: {error.strerror}") from None
    push = shlex.join([str(model), "--manifest", str(out), "--device", "ID", "--dry-run"])
    print(f"{out}   fill in source and channels; then: {typed('push-model')} {push}")
