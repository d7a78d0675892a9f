"""``edge-agent capture``: the samples of a sensor of this device, as numbers, as a picture, and as an ``.npz``.

    edge-agent capture imu --windows 100 --size 100 --hop 50 --out data.npz --plot plot.png
    edge-agent capture imu --windows 300 --manifest model.toml --out calibration.npz

``edge-agent quantize --calibration`` takes the ``.npz``. With a manifest, the windows have passed its steps, and the
arrays have the names of its inputs. A sensor that the daemon captures from is busy (``source_busy``). A shared sensor
(``keep_windows``, ``share``) has several readers at once. Its stored samples:

    edge-agent capture imu --kept --plot kept.png
    edge-agent capture imu --kept calibration --manifest model.toml --out calibration.npz
    edge-agent capture imu --kept judging --manifest model.toml --out heldout.npz
"""

import argparse
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edge_agent.advice.installation import how_to_add, require
from edge_agent.advice.remedy import remedy_for
from edge_agent.cli.device import print_json
from edge_agent.cli.opened_source import opened_source
from edge_agent.cli.owner import as_owner
from edge_agent.cli.progress import ProgressLine
from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.printable import printable
from edge_agent.settings.device import DEFAULT_PATH, read_config
from edge_agent.settings.inputs import read_inputs
from edge_agent.settings.sharing import KEPT_FOLDER, source_folder, split_common_keys
from edge_agent.strict import counted, did_you_mean, read_toml, strict
from edge_agent.wire.manifest import InputContract, Window

_SIZE = 100
_WINDOWS = 100
_HOUR_S = 3600.0
EXIT_REJECTED, EXIT_FAILED = 4, 5


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``capture`` command."""
    parser = subparsers.add_parser(
        "capture",
        help="show the samples of a sensor, and store them for quantize",
        description="Takes windows from SOURCE, reports what is wrong with them, and writes them into an .npz. "
        "Exit: 0 sound, 2 usage, 4 the data would be refused (but are written), 5 no data.",
    )
    parser.add_argument("source", metavar="SOURCE", help="a [sources.NAME] of the configuration")
    parser.add_argument("--windows", type=int, metavar="N", help=f"number of windows (default: {_WINDOWS})")
    parser.add_argument(
        "--out", type=Path, metavar="DATA.npz", help="file for the windows; if not given, they are only shown"
    )
    parser.add_argument("--size", type=int, metavar="S", help=f"samples in a window (default: {_SIZE})")
    parser.add_argument("--hop", type=int, metavar="H", help="samples from one window to the next (default: the size)")
    parser.add_argument("--channels", metavar="A,B", help="channels, in this order (default: all)")
    parser.add_argument("--manifest", type=Path, metavar="M.toml", help="window, channels and steps of its [input]")
    parser.add_argument(
        "--kept",
        nargs="?",
        const="all",
        choices=("all", "calibration", "judging"),
        help="the stored samples of SOURCE, one window of each segment, instead of new ones",
    )
    parser.add_argument("--plot", type=Path, metavar="PLOT.png", help="draw the channels")
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"default: {DEFAULT_PATH}")
    parser.add_argument(
        "--source-config", type=Path, metavar="FILE", help="use this file, which has [sources.NAME] only"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Capture, write, print; raises ``ConfigError`` (exit 2) before anything is opened or written."""
    contracts = _contracts(args)
    table = source_table(args)
    _check_paths(args)
    require("numpy")
    # numpy and the sensor's driver; only a command that is asked for pays for them
    from edge_agent.sources import check_table  # noqa: PLC0415
    from edge_agent.worker.capture import preview  # noqa: PLC0415

    check_table(args.source, table)
    picture = _picture_maker() if args.plot else None
    window = contracts[0].window or Window(_SIZE, _SIZE)
    wanted = list(dict.fromkeys(channel for contract in contracts for channel in contract.channels))
    if any(not contract.channels for contract in contracts):
        wanted = []
    try:
        if args.kept:
            seen, rate_hz, told = _take_kept(args, wanted, window, contracts[0].rate_hz)
        else:
            seen, rate_hz, told = _take(args, table, wanted, window, contracts[0].rate_hz)
        own = contracts if args.manifest else []
        made = preview.arrays(seen, own)
        seen = replace(seen, findings=[*seen.findings, *preview.scale_findings(seen, own)])
    except EdgeAgentError as error:
        if error.code == "usage":
            raise
        return _failed(args, error)
    body = _body(args, seen, window, rate_hz) | told
    if args.out:
        preview.save(args.out, made)
        body["arrays"] = {name: list(array.shape) for name, array in made.items()}
    if picture is not None:
        args.plot.write_bytes(picture(seen, body, len(seen.levels) / (contracts[0].rate_hz or rate_hz)))
    _print(args, seen, body)
    return EXIT_REJECTED if any(finding.refuse for finding in seen.findings) else 0


def _contracts(args: argparse.Namespace) -> list[InputContract]:
    """The contracts of the windows: the manifest's inputs that SOURCE feeds, or one made of the options."""
    if args.kept and args.source_config:
        raise ConfigError("usage", "--kept looks into the state directory; give --config, not --source-config")
    if args.windows is not None and args.windows < 1:
        raise ConfigError("usage", "--windows must be 1 or more")
    if args.manifest is None:
        size = args.size or _SIZE
        table: dict[str, Any] = {"window": {"size": size, "hop": args.hop or size}}
        table["channels"] = [name.strip() for name in args.channels.split(",")] if args.channels else []
        return [strict(table, InputContract, "the options")]
    if args.size or args.hop or args.channels:
        raise ConfigError(
            "usage", "the manifest has size, hop and channels already; leave out --size, --hop and --channels"
        )
    try:
        contracts = read_inputs(args.manifest, read_toml(args.manifest))
    except EdgeAgentError as error:
        raise ConfigError("usage", error.message) from None
    own = [contract for contract in contracts if contract.source == args.source]
    if not own:
        named = sorted({contract.source for contract in contracts if contract.source})
        hint = did_you_mean(args.source, named)
        raise ConfigError("usage", f"{args.manifest} takes nothing from {args.source!r}{hint}")
    return own


def _take(
    args: argparse.Namespace, table: dict[str, Any], wanted: list[str], window: Window, rate_hz: float | None
) -> tuple[Any, float, dict[str, Any]]:
    """New windows, their rate, and the origin of the rate; a shared sensor is read beside its other readers."""
    from edge_agent.acquisition.source import rate_said_by  # noqa: PLC0415  # numpy
    from edge_agent.worker.capture import preview  # noqa: PLC0415

    with opened_source(args.source, table, None if args.source_config else _folder(args)) as source:
        sampler = preview.WindowSampler(source, args.source, wanted, window, rate_hz)
        with ProgressLine() as line:
            seen = sampler.take(args.windows or _WINDOWS, lambda *said: line.show("capture", *said))
            return seen, source.rate_hz, {"rate_said_by": rate_said_by(source)}


def _take_kept(
    args: argparse.Namespace, wanted: list[str], window: Window, rate_hz: float | None
) -> tuple[Any, float, dict[str, Any]]:
    """The stored windows, the source's rate, and the amount that is stored."""
    from edge_agent.reservoir.snapshot import read  # noqa: PLC0415  # numpy
    from edge_agent.worker.capture.preview_reservoir import preview_segments, summarize  # noqa: PLC0415

    folder = _folder(args) / KEPT_FOLDER
    if not split_common_keys(args.source, source_table(args))[0].keep_windows and not os.path.exists(folder):  # noqa: PTH110  # or hidden
        text = f"nothing is kept of {args.source}: set keep_windows = 1000 in [sources.{args.source}] of {args.config}"
        raise ConfigError("usage", f"{text}, and restart edge-agent")
    with as_owner(folder), read(folder) as kept:
        summary = summarize(kept)
        segments = list(kept.segments) if args.kept == "all" else kept.of(args.kept)
        if args.windows and args.windows < len(segments):
            segments = [segments[place * len(segments) // args.windows] for place in range(args.windows)]
        seen = preview_segments(kept, args.source, segments, wanted, window, rate_hz)
        return seen, kept.format.rate_hz, {"kept": asdict(summary)}


def _folder(args: argparse.Namespace) -> Path:
    """The folder of SOURCE in the state directory."""
    return source_folder(Path(read_config(args.config).state_dir), args.source)


def source_table(args: argparse.Namespace) -> dict[str, Any]:
    """The options of SOURCE; raises ``ConfigError`` (usage) that names the nearest source there is."""
    where = args.source_config or args.config
    sources = read_toml(where).get("sources", {}) if args.source_config else read_config(where).sources
    if not isinstance(sources, dict) or not isinstance(sources.get(args.source), dict):
        known = sources if isinstance(sources, dict) else ()
        raise ConfigError("usage", f"{where} has no [sources.{args.source}]{did_you_mean(args.source, known)}")
    table: dict[str, Any] = sources[args.source]
    return table


def _check_paths(args: argparse.Namespace) -> None:
    for path, suffix in ((args.out, ".npz"), (args.plot, ".png")):
        if path is not None and (path.suffix != suffix or path.is_dir() or not path.absolute().parent.is_dir()):
            raise ConfigError("usage", f"{path}: name a file that ends in {suffix}, in a folder that exists")


def _picture_maker() -> Any:
    """The function that draws; raises ``ConfigError`` (usage) if Pillow is missing."""
    try:
        from edge_agent.report.channel_plot import look_picture  # noqa: PLC0415  # Pillow is an extra
    except ModuleNotFoundError as error:
        raise ConfigError("usage", f"--plot needs {error.name}; {how_to_add('plot')}") from None

    def draw(seen: Any, body: dict[str, Any], seconds: float) -> bytes:
        rate = body["rate_hz"] or body["rate_said_hz"]
        subtitle = f"{_taken(body)}, {rate:.4g} samples a second"
        notes = [f"{finding['code']}: {finding['message']}" for finding in body["findings"]]
        return look_picture(
            f"Sensor {body['source']}", subtitle, seen.channels, seen.levels, seconds=seconds, notes=notes
        )

    return draw


def _body(args: argparse.Namespace, seen: Any, window: Window, rate_hz: float) -> dict[str, Any]:
    from edge_agent.report.channel_table import channel_numbers  # noqa: PLC0415  # numpy

    numbers = channel_numbers(seen.channels, seen.levels)
    return {
        "source": args.source,
        "windows": len(seen.windows),
        "size": window.size,
        "hop": window.hop,
        "samples": seen.samples,
        "rate_hz": seen.rate_hz,
        "rate_said_hz": rate_hz,
        "rate_said_by": "rate_hz",
        "channels": [
            {"name": one.name, "min": one.low, "mean": one.mean, "max": one.high, "std": one.std} for one in numbers
        ],
        "findings": [asdict(finding) for finding in seen.findings],
    }


def _print(args: argparse.Namespace, seen: Any, body: dict[str, Any]) -> None:
    if args.json:
        print_json(body)
        return
    from edge_agent.report.channel_table import look_lines  # noqa: PLC0415  # numpy

    print("\n".join(map(printable, look_lines(seen.channels, seen.levels))))
    if kept := body.get("kept"):
        hours = (kept["last_s"] - kept["first_s"]) / _HOUR_S
        count = kept["stretches"]
        own = f"{count['calibration']} for calibration, of {counted(kept['regimes'], 'regime')}"
        print(
            f"\n{sum(count.values())} segments are stored over {hours:.1f} h: {own}, {count['judging']} for the verdict"
        )
    rate = "" if body["rate_hz"] is None else f", {body['rate_hz']:.4g} samples a second came"
    print(f"\n{_taken(body)}{rate} ({_said(body)})")
    for finding in seen.findings:
        print(printable(f"{'refused' if finding.refuse else 'warning'}: {finding.message} ({finding.code})"))
        if to_do := remedy_for(finding.code, finding.message):
            print(f"  to do: {to_do}")
    for path in (args.out, args.plot):
        if path is not None:
            print(f"written: {path}")


def _said(body: dict[str, Any]) -> str:
    """The source's rate, and its origin."""
    return f"{body['rate_said_by']} says {body['rate_said_hz']:g}"


def _taken(body: dict[str, Any]) -> str:
    return f"{counted(body['windows'], 'window')} of {counted(body['size'], 'sample')}"


def _failed(args: argparse.Namespace, error: EdgeAgentError) -> int:
    print(printable(f"edge-agent capture: {error.message} ({error.code})"), file=sys.stderr)
    if to_do := remedy_for(error.code, error.message):
        print(f"  to do: {to_do}", file=sys.stderr)
    if args.json:
        print_json({"source": args.source, "code": error.code, "message": error.message})
    return EXIT_FAILED
