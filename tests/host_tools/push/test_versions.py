"""Which version a push gets, and from whose word."""

import pytest

from edge_agent.errors import ConfigError
from edge_agent.wire.manifest import MAX_VERSION
from edge_agent.wire.messages import DeviceInfo, JobReport
from edge_agent.wire.topics import Scope
from host_tools.broker.history import History, Wanted
from host_tools.broker.registry import Device
from host_tools.push.versions import MOST_AHEAD, choose_version


def device(name: str, highest: int) -> Device:
    return Device(name, info=DeviceInfo(device=name, highest={"har": highest} if highest else {}))


def chosen(*devices: Device, want: int = 0, report: int = 0, written: int | None = None, force: bool = False) -> int:
    wants = {Scope("d", "pi-01"): Wanted(want, "0" * 16, "")} if want else {}
    said = JobReport(device="pi-01", job="1" * 16, model="har", version=report, stage="receive", status="failed")
    history = History(wants, [said] if report else [])
    targets = {one.id: one for one in devices}
    return choose_version("har", written, history, targets, force=force, order=lambda *words: " ".join(words))


@pytest.mark.parametrize(
    ("devices", "want", "report", "version"),
    [
        ([], 0, 0, 1),
        ([device("pi-01", 3)], 0, 0, 4),
        ([device("pi-01", 3), device("pi-02", 5)], 4, 0, 6),
        ([device("pi-01", 3)], 7, 0, 8),
        ([device("pi-01", 3)], 0, 9, 10),
        ([device("pi-01", MOST_AHEAD - 1)], 0, 0, MOST_AHEAD),
        ([device("pi-01", 20_261_129)], 20_261_129, 0, 20_261_130),
    ],
)
def test_the_next_version_follows_what_targets_and_wants_have(
    devices: list[Device], want: int, report: int, version: int
) -> None:
    assert chosen(*devices, want=want, report=report) == version


def test_a_claim_far_above_what_is_signed_needs_the_operators_word() -> None:
    liar = device("pi-07", 9_000_000)

    with pytest.raises(ConfigError, match="version_jump") as refused:
        chosen(device("pi-01", 3), liar, want=3)

    assert "pi-07 reports that it has accepted 9000000" in refused.value.message
    assert "forget har --device pi-01 --device pi-07" in refused.value.message
    assert chosen(device("pi-01", 3), liar, want=3, force=True) == 9_000_001


def test_no_version_follows_the_highest_there_is() -> None:
    with pytest.raises(ConfigError, match="run forget har --device pi-07"):
        chosen(device("pi-07", MAX_VERSION), force=True)


def test_a_written_version_far_above_every_known_one_needs_the_operators_word() -> None:
    with pytest.raises(ConfigError, match="version_jump"):
        chosen(device("pi-01", 3), written=MAX_VERSION)

    assert chosen(device("pi-01", 3), written=3 + MOST_AHEAD) == 3 + MOST_AHEAD
    assert chosen(device("pi-01", 3), written=MAX_VERSION, force=True) == MAX_VERSION
    assert chosen(written=20_261_130) == 20_261_130, "of a new name the first is any"
