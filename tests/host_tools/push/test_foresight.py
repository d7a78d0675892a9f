"""What a device will make of a version, held against the device's own rules."""

import msgspec
import pytest

from edge_agent.daemon.admission.rules import Accept, Known, Outranked, Refuse, Want, decide, read_want
from edge_agent.state.store import ModelRecord
from edge_agent.wire.manifest import Blob, Manifest, encode_manifest
from edge_agent.wire.messages import ActiveRelease, DeviceInfo, JobReport
from edge_agent.wire.topics import Scope, WantTopic
from host_tools.broker.history import History, Wanted
from host_tools.broker.registry import Device
from host_tools.push.foresight import Asked, Outlook, nothing_new, outlook, sentences

NOW = 1_800_000_000.0
DEVICE, GROUP, OTHER = Scope("d", "pi-01"), Scope("g", "lab"), Scope("g", "attic")
LATER, BEFORE = "2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"


def want(version: int, scope: Scope = DEVICE, *, blob: str = "0", expires: str = LATER) -> Want:
    manifest = Manifest(
        "ea/v1", "har", version, "onnx", Blob(blob * 64, 10, ["1" * 64]), targets=[str(scope)], expires=expires
    )
    return read_want(WantTopic(scope, "har"), encode_manifest(manifest), "ea/v1")


def device(highest: int, agent_version: str = "0.2.0") -> Device:
    known = {"har": highest} if highest else {}
    return Device("pi-01", info=DeviceInfo(device="pi-01", groups=["lab"], highest=known, agent_version=agent_version))


def report(of: Want, status: str = "succeeded") -> JobReport:
    version = of.manifest.version
    return JobReport(device="pi-01", job=of.job, model="har", version=version, stage="activate", status=status)


def asked(new: Want) -> Asked:
    return Asked("har", new.manifest.version, new.job, frozenset({new.topic.scope}))


def order(*words: str) -> str:
    return " ".join(words)


# What is new, what the device has accepted (and reports), and the wants that lie at the broker.
CASES: list[tuple[str, Want, Want | None, list[Want], Outlook]] = [
    ("a first model", want(3), None, [], Outlook.BEGINS),
    ("a higher version", want(4), want(3), [want(3)], Outlook.BEGINS),
    ("the same again", want(3), want(3), [want(3)], Outlook.JUDGED),
    ("the same for its group", want(3, GROUP), want(3), [want(3)], Outlook.JUDGED),
    ("an older one in its place", want(2), want(3), [want(3)], Outlook.DOWNGRADE),
    ("an older one, nothing stands", want(2), want(3), [], Outlook.DOWNGRADE),
    ("a group's older one beside its own", want(2, GROUP), want(3), [want(3)], Outlook.IGNORED),
    ("an older one beside its group's", want(2), want(3, GROUP), [want(3, GROUP)], Outlook.IGNORED),
    ("an older one beside a strange group's", want(2), want(3), [want(9, OTHER)], Outlook.DOWNGRADE),
    ("other content", want(3, blob="2"), want(3), [want(3)], Outlook.CONFLICT),
    ("a group's other content beside its own", want(3, GROUP, blob="2"), want(3), [want(3)], Outlook.IGNORED),
    ("an older one beside one that is over", want(2), want(3), [want(9, GROUP, expires=BEFORE)], Outlook.DOWNGRADE),
    ("a new one beside one that is over", want(4), want(3), [want(9, GROUP, expires=BEFORE)], Outlook.BEGINS),
    (
        "a group's other content beside its own that is over",
        want(3, GROUP, blob="2"),
        want(3),
        [want(3, expires=BEFORE)],
        Outlook.CONFLICT,
    ),
]


@pytest.mark.parametrize(("what", "new", "has", "lie", "expected"), CASES, ids=[case[0] for case in CASES])
def test_what_is_foreseen_is_what_the_device_decides(
    what: str, new: Want, has: Want | None, lie: list[Want], expected: Outlook
) -> None:
    wants = {one.topic.scope: Wanted(one.manifest.version, one.job, one.manifest.expires) for one in lie}
    history = History(wants, [report(has)] if has else [])
    record = has and ModelRecord(
        version=has.manifest.version, digest=has.digest, job=has.job, scope=str(has.topic.scope)
    )
    here = {one.topic.scope: one.standing for one in lie if one.topic.scope in (DEVICE, GROUP)}

    decision = decide(new, record or None, {has.job} if has else set(), here, NOW)
    found, _ = outlook(device(has.manifest.version if has else 0), asked(new), history, NOW)

    assert found is expected
    match decision:
        case Accept():
            assert found is Outlook.BEGINS
        case Known():
            assert found is Outlook.JUDGED
        case Outranked():
            assert found is Outlook.IGNORED
        case Refuse(error):
            assert found == error.code


@pytest.mark.parametrize(
    ("what", "lie", "expires", "expected"),
    [
        ("what it replaces counts", [want(3)], LATER, Outlook.UNANSWERED),
        ("what has expired counts", [want(3, GROUP)], BEFORE, Outlook.UNANSWERED),
        ("what was never accepted does not", [want(9)], LATER, Outlook.DOWNGRADE),
        ("nor what is not for it", [want(3, OTHER)], LATER, Outlook.DOWNGRADE),
        ("nor what lies nowhere any more", [], LATER, Outlook.DOWNGRADE),
    ],
)
def test_an_agent_of_0_1_says_nothing_to_an_older_version(
    what: str, lie: list[Want], expires: str, expected: Outlook
) -> None:
    history = History({one.topic.scope: Wanted(one.manifest.version, one.job, expires) for one in lie}, [])

    assert outlook(device(3, "0.1.0"), asked(want(2)), history, NOW) == (expected, 3)
    assert outlook(device(3, "0.2.0"), asked(want(2)), history, NOW)[0] is Outlook.DOWNGRADE


def test_what_was_judged_so_long_ago_that_its_report_is_gone_is_no_conflict() -> None:
    """Its want lies there, and another job of that version is a calibration anew."""
    new, anew = want(3), want(3, blob="2")
    history = History({DEVICE: Wanted(3, new.job, LATER)}, [report(anew)])

    assert outlook(device(3), asked(new), history, NOW)[0] is Outlook.BEGINS


@pytest.mark.parametrize(
    ("what", "status", "active", "info_seq", "expected"),
    [
        ("it is active", "succeeded", {"har": 3, "vad": 1}, 9, (Outlook.JUDGED, 3)),
        ("it was rolled back", "succeeded", {"har": 1, "vad": 3}, 9, (Outlook.INACTIVE, 1)),
        ("a newer one is active", "succeeded", {"har": 4}, 9, (Outlook.INACTIVE, 4)),
        ("nothing is active", "succeeded", {"vad": 3}, 9, (Outlook.INACTIVE, 0)),
        ("the device has not told since", "succeeded", {"har": 1}, 4, (Outlook.JUDGED, 3)),
        ("it never was active", "rejected", {"har": 1}, 9, (Outlook.JUDGED, 3)),
    ],
)
def test_a_success_stands_while_its_version_is_active(
    what: str, status: str, active: dict[str, int], info_seq: int, expected: tuple[Outlook, int]
) -> None:
    new = want(3)
    releases = [ActiveRelease(model, version, "", "accepted") for model, version in active.items()]
    info = DeviceInfo(device="pi-01", highest={"har": 3}, active=releases, seq=info_seq)
    history = History({DEVICE: Wanted(3, new.job, LATER)}, [msgspec.structs.replace(report(new, status), seq=4)])

    foreseen = outlook(Device("pi-01", info=info), asked(new), history, NOW)

    assert foreseen == expected
    assert nothing_new({"pi-01": foreseen}, asked(new), history, NOW), "a device makes nothing of it either way"


@pytest.mark.parametrize(
    ("active", "sentence"),
    [
        (1, "har 3 succeeded here before, but har 1 is active now, as this one was rolled back"),
        (4, "har 3 succeeded here before, but har 4 is active now"),
        (0, "har 3 succeeded here before, but no har is active now"),
    ],
)
def test_what_is_active_instead_is_named(active: int, sentence: str) -> None:
    (said,) = sentences({"pi-01": (Outlook.INACTIVE, active)}, asked(want(3)), 4, order)

    assert said.startswith(f"pi-01: {sentence}")
    assert said.endswith("; give --again to try again")


@pytest.mark.parametrize(
    ("reported", "lies", "expires", "expected"),
    [
        ("rejected", want(3), LATER, True),
        ("in_progress", want(3), LATER, False),
        ("rejected", want(3), BEFORE, False),
        ("rejected", want(3, blob="2"), LATER, False),
    ],
)
def test_nothing_is_new_only_where_all_of_it_is_there(
    reported: str, lies: Want, expires: str, *, expected: bool
) -> None:
    new = want(3)
    history = History({DEVICE: Wanted(3, lies.job, expires)}, [report(new, reported)])
    outlooks = {"pi-01": outlook(device(3), asked(new), history, NOW)}

    assert nothing_new(outlooks, asked(new), history, NOW) is expected


def test_a_sentence_names_the_devices_and_what_to_do() -> None:
    outlooks = {f"pi-{number:02}": (Outlook.DOWNGRADE, 3 + number % 2) for number in range(8)}
    outlooks |= {"odd": (Outlook.CONFLICT, 2), "own": (Outlook.IGNORED, 9)}

    older, other, elsewhere = sentences(outlooks, asked(want(2)), 9, order)

    assert older == (
        "har 4 is known here: pi-00, pi-01, pi-02, pi-03, pi-04 and 3 more will answer version 2 with downgrade; "
        "leave version out of the manifest, or write 10 or more; to activate the release before: "
        "rollback har " + " ".join(f"--device pi-{number:02}" for number in range(8))
    )
    assert other.startswith(
        "har 2 is known here with other content: odd will answer version_conflict; leave version out"
    )
    assert elsewhere == (
        "own will ignore har 2: it is asked for har 9 by another want, which stands; leave version out of the "
        "manifest, or write 10 or more"
    )
