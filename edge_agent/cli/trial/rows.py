"""The data of a trial: an operator's files, a sensor of this device, or random numbers."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.cli.opened_source import opened_source
from edge_agent.cli.progress import ProgressLine
from edge_agent.cli.trial.measured import room_for_rows
from edge_agent.cli.trial.plan import Draft, Plan
from edge_agent.cli.trial.request import Request
from edge_agent.errors import ContractError, Refusal
from edge_agent.strict import counted
from edge_agent.wire.manifest import InputContract, Window
from edge_agent.wire.steps import read_steps, shape_after

if TYPE_CHECKING:
    from edge_agent.backends import ModelInfo

SENSOR_WINDOWS = 300
"""Default number of windows of a sensor. Half of them are held out."""
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Gathered:
    """An ``.npz`` for the engine.

    Attributes:
        path: of the file.
        count: its rows.
        notes: what is to be said of them.
        room: as many rows as memory has room for.
    """

    path: Path
    count: int
    notes: list[str] = field(default_factory=list)
    room: int = 0


def from_files(place: Path, request: Request, plan: Plan, info: "ModelInfo", most: int, work: Path) -> Gathered:
    """``most`` rows of the operator's own files; raises ``SourceError`` or ``ContractError`` if they give none."""
    from edge_agent.worker.capture.from_folder import rows_from  # noqa: PLC0415  # numpy
    from edge_agent.worker.capture.rows_asked import Asked  # noqa: PLC0415

    asked = Asked(plan.sensed, info, plan.channels, most, str(request.written), in_order=bool(plan.recipe.state))
    with ProgressLine() as line:
        rows = rows_from(place, asked, lambda *said: line.show("data", *said), work)
    return Gathered(_saved(work / "data.npz", rows.arrays), rows.count, rows.notes)


def from_sensor(request: Request, draft: Draft | None, plan: Plan, work: Path) -> tuple[Gathered, Plan]:
    """Windows of a sensor, and the plan with the sensor's own facts.

    Raises:
        SourceError: it is not there, busy or silent.
        ContractError: it does not fit the plan.
        Refusal: a device would refuse such data.
    """
    from edge_agent.sources import check_table  # noqa: PLC0415  # numpy and the sensor's driver
    from edge_agent.worker.capture import preview  # noqa: PLC0415
    from edge_agent.worker.data.array_matching import GROUPS  # noqa: PLC0415
    from edge_agent.worker.data.row_store import RowStore  # noqa: PLC0415

    check_table(request.source, request.table)
    with opened_source(request.source, request.table, request.shared) as source:
        if draft is not None:
            frame = source.frame_shape
            draft.fed_by(request.source, source.channels, (frame[0], frame[1]) if frame else None)
            draft.check_place()
            plan = draft.plan()
        contract = plan.sensed[0]
        _check_feeds(plan, request, source.channels)
        window = contract.window or Window(1, 1)
        wanted = list(dict.fromkeys(name for one in plan.sensed for name in one.channels))
        if any(not one.channels for one in plan.sensed):  # that one takes all
            wanted = []
        sampler = preview.WindowSampler(source, request.source, wanted, window, contract.rate_hz)
        room = room_for_rows(sampler.row_bytes(plan.sensed))
        count = min(room, request.windows or SENSOR_WINDOWS)
        _announce(request.source, count, window, contract.rate_hz or source.rate_hz)
        with ProgressLine() as line:
            seen = sampler.take(count, lambda *said: line.show("capture", *said))
    for finding in seen.findings:
        if finding.refuse:
            raise Refusal(finding.code, finding.message)
    with RowStore(work) as store:
        for row in preview.rows(seen, plan.sensed):
            store.add(row)
        path = _saved(work / "data.npz", store.arrays() | {GROUPS: seen.groups})
    return Gathered(path, len(seen.windows), [finding.message for finding in seen.findings], room), plan


def random_data(plan: Plan, info: "ModelInfo", count: int, work: Path) -> Path:
    """Random rows for the model. The plan gives the sizes that the model leaves open."""
    from edge_agent.worker.capture.random_rows import random_rows  # noqa: PLC0415  # numpy

    left_out = {one.name for one in plan.constants} | {state.input for state in plan.recipe.state}
    shapes = {contract.name or info.inputs[0].name: _shape(contract, plan.channels) for contract in plan.sensed}
    known = {name: shape for name, shape in shapes.items() if shape is not None}
    return _saved(work / "random.npz", random_rows(info, known, left_out, count))


def _check_feeds(plan: Plan, request: Request, channels: Sequence[str]) -> None:
    """Raise ``ContractError`` unless a window of all that the sensor has fits, as far as that is known."""
    wanted = plan.channels
    if wanted and not plan.sensed[0].channels and wanted != len(channels):
        text = f"source {request.source!r} has {counted(len(channels), 'channel')} ({', '.join(channels)})"
        do = f"name those of the model in channels of {request.written}, and pass it with --manifest"
        raise ContractError("shape_mismatch", f"{text}, and the model wants {wanted}; {do}")


def _shape(contract: InputContract, channels: int) -> tuple[int, ...] | None:
    """The shape of a row; None if it depends on the sensor."""
    if contract.window is None or not (contract.channels or channels):
        return None
    try:
        made = shape_after(
            read_steps(contract), contract.shape(contract.window.size, len(contract.channels) or channels)
        )
    except ContractError:
        return None
    return made


def _announce(source: str, count: int, window: Window, rate_hz: float) -> None:
    seconds = ((count - 1) * window.hop + window.size) / rate_hz
    how_long = f"{seconds / _MINUTE_S:.1f} min" if seconds >= 2 * _MINUTE_S else f"{seconds:.0f} s"
    about = f"{counted(count, 'window')} of {source}, about {how_long} at {rate_hz:g} Hz"
    print(f"capturing {about}; for fewer give --windows", file=sys.stderr)


def _saved(path: Path, arrays: Mapping[str, Any]) -> Path:
    from edge_agent.worker.data.row_store import save_rows  # noqa: PLC0415  # numpy

    save_rows(path, arrays)
    return path
