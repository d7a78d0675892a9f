"""Parts of a model's page: the results of its versions across devices. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TypeAlias

from edge_agent.report.html import numbers
from edge_agent.report.html.cards import table
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.strict import counted
from host_tools.dashboard.widgets.badge import badge
from host_tools.dashboard.widgets.moment import moment
from host_tools.dashboard.widgets.section import nothing
from host_tools.dashboard.widgets.state import state_of
from host_tools.fleet.device_state import DeviceState, JobEnd
from host_tools.fleet.rows import rows_of

_VERSIONS = {
    "version": True, "runs on": True, "accepted": True, "rejected": True, "failed": True, "under way": True,
    "why not": False, "p50": True, "of float": True, "agreement": True, "size": True,
}  # fmt: skip
_BOARDS = {"board": False, "devices": True, "p50 now": True, "p50 promised": True, "float": True, "of float": True}
_DEVICES = {
    "device": False, "board": False, "version": True, "state": False, "p50 now": True, "of float": True,
    "agreement": True, "seen": False,
}  # fmt: skip
_MOST_DEVICES = 100
_MOST_VERSIONS = 30
Ends: TypeAlias = Mapping[int, list[tuple[DeviceState, JobEnd]]]
"""Version → devices with the end of their newest job of it."""
_UNDER_WAY = ("queued", "in_progress")


def summary(ends: Ends, devices: Sequence[DeviceState]) -> Markup:
    """A sentence about the newest version: how many devices accepted it, and why others did not."""
    if not ends:
        return nothing(f"{counted(len(devices), 'device')} reported it, and no job of it is known.")
    version = max(ends)
    said = Counter(end.status for _, end in ends[version])
    told = [
        (said["succeeded"], "accepted", "good"),
        (said["rejected"], "rejected", "warn"),
        (said["failed"], "failed", "bad"),
    ]
    told.append((sum(said[status] for status in _UNDER_WAY), "under way", "busy"))
    badges = [badge(f"{number} {word}", tone) for number, word, tone in told if number]  # type: ignore[arg-type]  # tones
    return element(
        "p", f"Version {version}: ", *(join(one, " ") for one in badges), _why(ends[version]), class_="sentence"
    )


def versions(name: str, ends: Ends, devices: Sequence[DeviceState]) -> Markup:
    """A comparison of the versions, the newest first."""
    active: dict[int, list[DeviceState]] = defaultdict(list)
    for device in devices:
        if (version := device.models[name].active_version) > 0:
            active[version].append(device)
    known = sorted({*ends, *active}, reverse=True)[:_MOST_VERSIONS]
    if not known:
        return nothing("No version is known.")
    return table(_VERSIONS, [_version(name, one, ends.get(one, []), active[one]) for one in known], "wide versions")


def boards(name: str, devices: Sequence[DeviceState], now: float) -> Markup:
    """The model's latency by kind of board: the median over the devices."""
    kinds: dict[str, list[DeviceState]] = defaultdict(list)
    for device in devices:
        if device.models[name].active_version:
            kinds[device.board.board if device.board else ""].append(device)
    if not kinds:
        return nothing("It is active nowhere.")
    return table(_BOARDS, [_board(name, kind, kinds[kind], now) for kind in sorted(kinds)], "boards")


def devices(name: str, found: Sequence[DeviceState], now: float) -> Markup:
    """The devices with the model."""
    shown = [_device(name, one, now) for one in found[:_MOST_DEVICES]]
    left = len(found) - len(shown)
    more = element("p", f"… and {counted(left, 'device')} more; ", _search(name), class_="note") if left else ""
    return join(table(_DEVICES, shown, "devices"), more)


def _search(name: str) -> Markup:
    return element("a", "search for it in the fleet", href=f"/?q={name}")


def ends_of(name: str, devices: Iterable[DeviceState]) -> Ends:
    """The newest job of each version on each device."""
    newest: dict[tuple[int, str], tuple[DeviceState, JobEnd]] = {}
    for device in devices:
        for end in device.jobs.values():
            key = end.version, device.id
            if end.model == name and (key not in newest or end.started >= newest[key][1].started):
                newest[key] = device, end
    found: dict[int, list[tuple[DeviceState, JobEnd]]] = defaultdict(list)
    for (version, _), pair in newest.items():
        found[version].append(pair)
    return found


def _why(ends: Iterable[tuple[DeviceState, JobEnd]]) -> Markup:
    """The reasons for rejections, with their boards, the most frequent first."""
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for device, end in ends:
        if end.status in ("rejected", "failed"):
            reasons[end.code][device.board.board if device.board else "unknown board"] += 1
    told = []
    for code, where in sorted(reasons.items(), key=lambda pair: -pair[1].total())[:5]:
        boards = ", ".join(f"{number} on {board}" for board, number in where.most_common(3))
        told.append(element("span", element("code", code), f" {boards}. ", class_="reason"))
    return join(*told)


def _version(name: str, version: int, ends: list[tuple[DeviceState, JobEnd]], active: list[DeviceState]) -> Markup:
    said = Counter(end.status for _, end in ends)
    states = [device.models[name] for device in active]
    cells = [
        element("th", str(version), scope="row", class_="n"),
        element("td", str(len(active)), class_="n"),
        *(element("td", str(said[status]), class_="n") for status in ("succeeded", "rejected", "failed")),
        element("td", str(sum(said[status] for status in _UNDER_WAY)), class_="n"),
        element("td", _why(ends)),
        _median((one.p50_ms for one in states), numbers.milliseconds),
        _median((one.latency_ratio for one in states), numbers.ratio),
        _median((one.agreement for one in states), numbers.share),
        _median((one.model_bytes for one in states), numbers.size),
    ]
    return element("tr", *cells)


def _board(name: str, kind: str, devices: list[DeviceState], now: float) -> Markup:
    states = [one.models[name] for one in devices]
    served = [one.served[name].newest for one in devices if name in one.served]
    cells = [
        element("th", kind or numbers.UNKNOWN, scope="row"),
        element("td", str(len(devices)), class_="n"),
        _median((one.sample.p50_ms for one in served if one.fresh(now)), numbers.milliseconds),
        _median((one.p50_ms for one in states), numbers.milliseconds),
        _median((one.float_p50_ms for one in states), numbers.milliseconds),
        _median((one.latency_ratio for one in states), numbers.ratio),
    ]
    return element("tr", *cells)


def _device(name: str, device: DeviceState, now: float) -> Markup:
    row = next(one for one in rows_of(device, now) if one.model == name)
    cells = [
        element("th", element("a", device.id, href=f"/devices/{device.id}"), scope="row"),
        element("td", row.board or numbers.UNKNOWN),
        element("td", str(row.version) if row.version else numbers.UNKNOWN, class_="n"),
        element("td", state_of(row)),
        element("td", numbers.known(numbers.milliseconds, row.latency_ms), class_="n"),
        element("td", numbers.known(numbers.ratio, row.latency_ratio), class_="n"),
        element("td", numbers.known(numbers.share, row.agreement), class_="n"),
        element("td", moment(row.seen, now)),
    ]
    return element("tr", *cells, class_=None if row.online else "offline")


def _median(values: Iterable[float | None], form: Callable[[float], str]) -> Markup:
    known = [one for one in values if one is not None]
    return element("td", form(median(known)) if known else numbers.UNKNOWN, class_="n")
