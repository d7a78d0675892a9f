"""What agents do not know is not asked of a device by name, and said of a group's."""

import msgspec
import pytest
from support.documents import SENT

from edge_agent.errors import RecipeError
from edge_agent.wire.manifest import AS_FLOAT, FEATURES, Gates, Manifest, Output
from edge_agent.wire.messages import DeviceInfo
from edge_agent.wire.topics import Scope
from host_tools.push.features import check_features

RECALL = msgspec.structs.replace(SENT, gates=Gates(min_class_recall=0.5))
SEVERAL = msgspec.structs.replace(SENT, output=Output(), outputs=[Output(name="a"), Output(name="b")])
BOTH = msgspec.structs.replace(RECALL, output=Output(), outputs=SEVERAL.outputs)
EXACT = msgspec.structs.replace(SENT, gates=Gates(max_latency_ratio=AS_FLOAT))
WIDER = msgspec.structs.replace(SENT, gates=Gates(latency_margin=0.05))
EVERY = [feature.name for feature in FEATURES]
LAB = Scope("g", "lab")
GATE = "[gates] min_class_recall"
MARGIN = "[gates] latency_margin"
TWO = "pi-01 (edge-agent 0.1.0) and pi-02 (edge-agent 0.1.0)"
REFUSE = "refuse the manifest (malformed)"
THERE = "upgrade edge-agent there"


def device(version: str, *features: str) -> DeviceInfo:
    return DeviceInfo(device="pi", agent_version=version, features=list(features))


OLD, NEW = device("0.1.0"), device("0.3.0", *EVERY)


def check(manifest: Manifest, devices: dict[str, DeviceInfo | None], *scopes: Scope) -> list[str]:
    return check_features(manifest, scopes or [Scope("d", name) for name in devices], devices, "M.toml")


@pytest.mark.parametrize(
    ("manifest", "devices"),
    [
        (SENT, {"pi-01": OLD}),
        (EXACT, {"pi-01": OLD}),
        (RECALL, {"pi-01": NEW}),
        (RECALL, {"pi-01": device("0.2.0", "min_class_recall")}),
        (BOTH, {"pi-01": NEW, "pi-02": None}),
    ],
)
def test_what_is_known_there_is_asked_for(manifest: Manifest, devices: dict[str, DeviceInfo | None]) -> None:
    assert check(manifest, devices) == []


@pytest.mark.parametrize(
    ("manifest", "devices", "sentence"),
    [
        (
            RECALL,
            {"pi-01": OLD},
            f"pi-01 (edge-agent 0.1.0) does not know {GATE}; {THERE}, or leave it out of M.toml",
        ),
        (
            WIDER,
            {"pi-01": OLD},
            f"pi-01 (edge-agent 0.1.0) does not know {MARGIN}; {THERE}, or leave it out of M.toml",
        ),
        (
            BOTH,
            {"pi-01": NEW, "pi-03": OLD, "pi-02": device("0.1.1")},
            f"pi-02 (edge-agent 0.1.1) and pi-03 (edge-agent 0.1.0) do not know [[outputs]] and {GATE}; {THERE}",
        ),
        (
            BOTH,
            {"pi-01": device("0.2.0", "outputs")},
            f"pi-01 (edge-agent 0.2.0) does not know {GATE}; {THERE}, or leave it out of M.toml",
        ),
        (
            SEVERAL,
            {f"pi-{number}": device("") for number in range(7)},
            ", pi-4 (edge-agent of unknown version) and 2 more do not know [[outputs]]; upgrade",
        ),
    ],
)
def test_a_named_device_that_does_not_know_it_is_refused(
    manifest: Manifest, devices: dict[str, DeviceInfo | None], sentence: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        check(manifest, devices)

    assert caught.value.code == "feature_unknown"
    assert sentence in caught.value.message


def test_a_device_that_is_named_beside_its_group_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^feature_unknown: pi-02 \(edge-agent 0\.1\.0\) does not know"):
        check(RECALL, {"pi-01": OLD, "pi-02": OLD}, LAB, Scope("d", "pi-02"))


@pytest.mark.parametrize(
    ("manifest", "devices", "sentences"),
    [
        (SENT, {"pi-01": OLD}, []),
        (
            SEVERAL,
            {"pi-01": NEW, "pi-02": OLD},
            [f"1 of 2 devices does not know [[outputs]] and judges without it: pi-02 (edge-agent 0.1.0); {THERE}"],
        ),
        (
            BOTH,
            {"pi-01": OLD, "pi-02": OLD, "pi-03": device("0.2.0", "min_class_recall")},
            [
                f"2 of 3 devices do not know [[outputs]] and {GATE} and {REFUSE}: {TWO}; {THERE}",
                f"1 of 3 devices does not know [[outputs]] and judges without it: pi-03 (edge-agent 0.2.0); {THERE}",
            ],
        ),
    ],
)
def test_of_a_group_it_is_said_how_many(
    manifest: Manifest, devices: dict[str, DeviceInfo | None], sentences: list[str]
) -> None:
    assert check(manifest, devices, LAB) == sentences
