"""The checked command line of ``edge-agent try``."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_agent.cli.capture import source_table
from edge_agent.errors import ConfigError
from edge_agent.settings.device import read_config
from edge_agent.settings.sharing import source_folder
from edge_agent.strict import did_you_mean

FORMATS: dict[str, Literal["onnx", "tflite"]] = {".onnx": "onnx", ".tflite": "tflite"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of a trial.

    Attributes:
        model: the float model file.
        data: a folder or file of the operator's own data; None: there is none.
        source: the name of a sensor of this device; empty: none.
        table: its options.
        shared: where everything of it lies in the state directory.
        manifest: a corrected draft, used instead of guesses; None: guess.
        out: where the draft goes.
        force: it may replace what is there.
        windows: as many are taken at most; None: by how fast the model is.
    """

    model: Path
    data: Path | None
    source: str
    table: dict[str, Any]
    shared: Path | None
    manifest: Path | None
    out: Path
    force: bool
    windows: int | None

    @property
    def format(self) -> Literal["onnx", "tflite"]:
        """The format of the model's file."""
        return FORMATS[self.model.suffix.lower()]

    @property
    def written(self) -> Path:
        """The manifest that the operator continues with."""
        return self.manifest or self.out


def check(args: argparse.Namespace) -> Request:
    """The request behind a command line; raises ``ConfigError`` (usage) before anything is written or opened."""
    _require_file(args.model)
    if args.model.suffix.lower() not in FORMATS:
        raise ConfigError("usage", f"{args.model}: a model must end in {' or '.join(FORMATS)}")
    if args.manifest is not None:
        _require_file(args.manifest)
    if args.data is not None and not args.data.exists():
        raise ConfigError("usage", f"no such folder or file: {args.data}{_nearest(args.data)}")
    if args.windows is not None and args.windows < 1:
        raise ConfigError("usage", "--windows must be 1 or more")
    if args.windows is not None and args.data is None and not args.source:
        raise ConfigError("usage", "--windows counts windows of data; give --data or --source, too")
    out = args.out or Path(f"{args.model.stem}.toml")
    if args.manifest is not None and (args.out is not None or args.force):
        raise ConfigError("usage", "--manifest is used as it is, so nothing is written; leave out --out and --force")
    if args.manifest is None:
        _check_out(out)
    table = source_table(args) if args.source else {}
    shared = source_folder(Path(read_config(args.config).state_dir), args.source) if args.source else None
    return Request(
        model=args.model,
        data=args.data,
        source=args.source or "",
        table=table,
        shared=shared,
        manifest=args.manifest,
        out=out,
        force=args.force,
        windows=args.windows,
    )


def _check_out(out: Path) -> None:
    if out.suffix != ".toml" or out.is_dir() or not out.absolute().parent.is_dir():
        raise ConfigError("usage", f"--out {out}: name a file that ends in .toml, in a folder that exists")


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigError("usage", f"no such file: {path}{_nearest(path)}")


def _nearest(path: Path) -> str:
    """A clause with the path that a mistyped one may mean; empty if there is no similar name."""
    try:
        names = [one.name for one in path.absolute().parent.iterdir()]
    except OSError:
        return ""
    meant = did_you_mean(path.name, names)
    return meant if meant.startswith("; did you mean") else ""
