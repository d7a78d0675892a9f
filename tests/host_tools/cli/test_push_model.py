"""``push-model`` on real brokers, with devices that speak the wire protocol."""

import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from support.brokers import Broker
from support.fake_device import FakeDevice, Say, ends
from support.host import MANIFEST, Host
from support.onnx_models import model, save, value

from edge_agent.wire.chunks import CHUNK_BYTES
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import MANIFEST_TYPE, unseal
from edge_agent.wire.manifest import MAX_VERSION, Manifest, decode_manifest, encode_manifest
from edge_agent.wire.messages import Need, encode
from edge_agent.wire.topics import Scope, Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.broker.signing import enclose, generate_key
from host_tools.cli.push_model import main

MakeDevice = Callable[..., FakeDevice]


@pytest.fixture
def host(
    broker: Broker, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Host:
    return Host(broker.url, namespace, tmp_path, monkeypatch, capsys)


@pytest.fixture
def device(broker: Broker, namespace: str) -> MakeDevice:
    def make(name: str, *script: Say, **more: Any) -> FakeDevice:
        return FakeDevice(broker.url, namespace, name, script, **more)

    return make


def retained(broker: Broker, namespace: str, *filters: str) -> dict[str, bytes]:
    with Session(Settings(url=broker.url, namespace=namespace)) as session:
        return session.snapshot(*filters)


def test_a_model_reaches_a_device_and_its_result_is_shown(host: Host, device: MakeDevice) -> None:
    capture = Say({"stage": "capture", "progress": 0.5, "detail": "150 of 300 windows", "eta_s": 3.0})
    results = {"reference": {"size_bytes": 256_000}, "chosen": {"size_bytes": 64_000, "agreement": 0.99}}

    with device("pi-01", capture, ends("succeeded", "accepted", release="/srv/har/1", results=results)) as pi:
        ended = host.push("--device", "pi-01")

    assert ended.exit == 0, ended.err
    assert "succeeded" in ended.out
    assert "/srv/har/1" in ended.out
    assert "62.5 KiB  0.25 of float" in ended.out
    assert "upload:" in ended.err
    assert "pi-01: capture 50% 150 of 300 windows (3 s left)" in ended.err
    assert pi.wants[0].inputs[0].channels == ["ax", "ay"]


def test_what_was_sent_lies_at_the_broker(host: Host, device: MakeDevice, broker: Broker, namespace: str) -> None:
    topics = Topics(namespace)

    with device("pi-01"):
        ended = host.push("--device", "pi-01", "--no-wait")

    want = retained(broker, namespace, topics.want(Scope("d", "pi-01"), "har"))
    assert ended.exit == 0, ended.err
    (envelope,) = want.values()
    manifest = decode_manifest(unseal(envelope, MANIFEST_TYPE).content())
    sha256 = hashlib.sha256(host.model.read_bytes()).hexdigest()
    assert manifest.blob.sha256 == sha256
    assert manifest.targets == ["d/pi-01"]
    chunks = retained(broker, namespace, topics.chunk_group(sha256, 0))
    whole = b"".join(chunks[topics.chunk(sha256, index)] for index in range(manifest.blob.plan.chunks))
    assert whole == host.model.read_bytes()


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        ("succeeded", "unchanged", 0),
        ("rejected", "agreement_too_low", 4),
        ("failed", "source_silent", 5),
        ("canceled", "superseded", 8),
    ],
)
def test_each_end_has_its_exit_code(
    host: Host, device: MakeDevice, status: str, code: str, exit_code: int
) -> None:  # fmt: skip
    with device("pi-01", ends(status, code)):
        ended = host.push("--device", "pi-01", "--json")

    assert ended.exit == exit_code
    assert ended.events[-1]["event"] == "summary"
    assert ended.events[-1]["exit"] == exit_code
    assert ended.events[-1]["devices"]["pi-01"] == {
        "end": status, "code": code, "message": f"because {code}", "release": ""
    }  # fmt: skip
    assert {event["event"] for event in ended.events} == {"upload", "report", "summary"}


def test_a_manifest_that_a_device_does_not_trust(host: Host, device: MakeDevice) -> None:
    with device("pi-01", Say(refused="untrusted")):
        ended = host.push("--device", "pi-01")
        again = host.push("--device", "pi-01")

    assert ended.exit == 6
    assert "untrusted" in ended.out
    assert "to do: sign with a key in trust.keys_dir" in ended.out
    assert again.exit == 6


def test_an_old_refusal_is_not_taken_for_the_answer(host: Host, device: MakeDevice) -> None:
    pinned = MANIFEST.replace('name = "har"', 'name = "har"\nversion = 4')
    host.write_manifest(pinned)
    with device("pi-01", Say(refused="untrusted")) as pi:
        first = host.push("--device", "pi-01")
        pi.script = (ends("succeeded", "accepted"),)
        second = host.push("--device", "pi-01")

    assert (first.exit, second.exit) == (6, 0)


def test_several_devices_and_the_first_exit_code_that_applies(host: Host, device: MakeDevice) -> None:
    with (
        device("pi-01", ends("succeeded", "accepted")),
        device("pi-02", ends("rejected", "latency_too_high")),
        device("pi-03", ends("failed", "no_space")),
    ):
        two = host.push("--device", "pi-01", "--device", "pi-02", "--json")
        everyone = host.push("--all", "--json")

    assert two.exit == 4
    assert everyone.exit == 5
    assert {name: end["code"] for name, end in everyone.events[-1]["devices"].items()} == {
        "pi-01": "accepted", "pi-02": "latency_too_high", "pi-03": "no_space",
    }  # fmt: skip


def test_a_group_means_its_members(host: Host, device: MakeDevice) -> None:
    done = ends("succeeded", "accepted")
    with device("pi-01", done, groups=["lab"]) as inside, device("pi-02", done, groups=["roof"]) as outside:
        ended = host.push("--group", "lab", "--json")

    assert ended.exit == 0
    assert list(ended.events[-1]["devices"]) == ["pi-01"]
    assert inside.wants[0].targets == ["g/lab"]
    assert outside.wants == []


def test_an_offline_device_is_pending_until_time_is_up(host: Host, device: MakeDevice) -> None:
    with device("pi-02"):
        pass

    with device("pi-01", ends("succeeded", "accepted")):
        ended = host.push("--all", "--timeout", "0.8")

    assert ended.exit == 7
    assert "pi-02  pending" in ended.out
    assert "offline" in ended.out
    assert "host-tools watch --job" in ended.err


def test_a_device_that_comes_back_is_waited_for(host: Host, device: MakeDevice) -> None:
    with device("pi-01"):
        pass
    late = device("pi-01", ends("succeeded", "accepted"))

    def return_once_wanted() -> None:
        topics = Topics(host.namespace)
        while not retained_here(host, topics.want(Scope("d", "pi-01"), "har")):
            time.sleep(0.02)
        late.__enter__()

    thread = threading.Thread(target=return_once_wanted)
    thread.start()
    ended = host.push("--device", "pi-01", "--timeout", "60")
    thread.join()
    late.__exit__(None, None, None)

    assert ended.exit == 0, ended.err


def retained_here(host: Host, *filters: str) -> dict[str, bytes]:
    with Session(Settings(url=host.url, namespace=host.namespace)) as session:
        return session.snapshot(*filters)


def test_a_device_that_nobody_knows(host: Host, device: MakeDevice) -> None:
    nobody = host.push("--device", "pi-01")
    with device("pi-01"):
        misspelt = host.push("--device", "pi-1", "--json")
        no_group = host.push("--group", "lab")

    assert (nobody.exit, misspelt.exit, no_group.exit) == (2, 2, 2)
    assert "knows no device" in nobody.err
    assert "did you mean 'pi-01'" in misspelt.err
    assert misspelt.events[-1] | {"message": ""} == {"event": "summary", "exit": 2, "code": "no_device", "message": ""}
    assert "no device is in group 'lab'" in no_group.err
    assert retained_here(host, f"{host.namespace}/b/+/h/+") == {}, "nothing was sent"


def test_a_version_left_out_is_the_next_one(host: Host, device: MakeDevice) -> None:
    done = ends("succeeded", "accepted")
    with device("pi-01", done, highest={"har": 6, "vad": 40}) as pi:
        host.push("--device", "pi-01")
        host.push("--device", "pi-01")
        pi.report("f" * 16, model="har", version=20)
        host.push("--device", "pi-01")

    assert [manifest.version for manifest in pi.wants] == [7, 8, 21]


def test_an_older_version_is_warned_of(host: Host, device: MakeDevice) -> None:
    host.write_manifest(MANIFEST.replace('name = "har"', 'name = "har"\nversion = 3'))
    with device("pi-01", Say(refused="downgrade"), highest={"har": 5}):
        ended = host.push("--device", "pi-01")

    assert ended.exit == 6
    assert "har 5 is known here: pi-01 will answer version 3 with downgrade" in ended.err
    assert ended.err.index("har 5 is known here") < ended.err.index("upload:"), "said before a byte is sent"
    assert "write 6 or more" in ended.err


def test_a_group_is_pushed_to_though_one_device_will_say_nothing(host: Host, device: MakeDevice) -> None:
    """What a device is asked for itself stands; it is not waited for, and nobody thinks that it has obeyed."""
    with device("pi-01", ends("succeeded", "accepted"), groups=["lab"], highest={"har": 5}) as pi:
        host.write_manifest(MANIFEST.replace('name = "har"', 'name = "har"\nversion = 5'))
        assert host.push("--device", "pi-01").exit == 0
        pi.script = ()
        host.write_manifest(MANIFEST.replace('name = "har"', 'name = "har"\nversion = 3'))
        with device("pi-02", ends("succeeded", "accepted"), groups=["lab"]):
            ended = host.push("--group", "lab", "--json")

    sentence = (
        "pi-01 will ignore har 3: it is asked for har 5 by another want, which stands; leave version out of the "
        "manifest, or write 6 or more"
    )
    assert sentence in ended.err
    assert ended.exit == 6
    assert ended.events[-1]["devices"]["pi-01"] == {"end": "ignored", "code": "", "message": sentence, "release": ""}
    assert ended.events[-1]["devices"]["pi-02"]["end"] == "succeeded"


def test_a_device_of_0_1_that_will_stay_silent_is_not_waited_for(host: Host, device: MakeDevice) -> None:
    version = 'name = "har"\nversion = {}'
    with device("pi-01", ends("succeeded", "accepted"), agent_version="0.1.0", highest={"har": 5}) as pi:
        host.write_manifest(MANIFEST.replace('name = "har"', version.format(5)))
        assert host.push("--device", "pi-01").exit == 0
        pi.script = ()
        host.write_manifest(MANIFEST.replace('name = "har"', version.format(3)))
        ended = host.push("--device", "pi-01", "--timeout", "10")

    sentence = (
        "pi-01 will ignore har 3: it has accepted har 5, and its edge-agent 0.1 gives no answer to an older one; "
        "leave version out of the manifest, or write 6 or more"
    )
    assert ended.exit == 6, "and not 7, after a time of waiting"
    assert ended.err.count(sentence) == 2, "before a byte is sent, and as its line"
    assert " ".join(ended.out.split()) == f"pi-01 ignored {sentence}", "one word, one reason, one thing to do"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (('source = "imu"', 'source = "imo"'), "source_unknown", "pi-01 has no source 'imo'; did you mean 'imu'?"),
        (('"ay"]', '"aq"]'), "channel_unknown", "source 'imu' of pi-01 has no channel 'aq'"),
        (("size = 128", "size = 64"), "shape_mismatch", "a window of 64x2, 2x64 after its steps, does not fit"),
    ],
)
def test_what_no_device_could_do_is_found_before_a_byte_is_sent(
    host: Host, device: MakeDevice, change: tuple[str, str], code: str, words: str
) -> None:
    sound = MANIFEST.replace("[output]", 'steps = [{ op = "transpose", axes = [1, 0] }]\n[output]')
    x, y = value("x", [1, 2, 128]), value("y", [1, 2, 128])
    save(model([onnx.helper.make_node("Relu", ["x"], ["y"])], [x], [y], {}), host.model)
    with device("pi-01", ends("succeeded", "accepted")) as pi:
        host.write_manifest(sound.replace(*change))
        wrong = host.push("--device", "pi-01", "--json")
        lies = retained_here(host, f"{host.namespace}/b/+/h/+", f"{host.namespace}/d/+/want/+")
        host.write_manifest(sound)
        right = host.push("--device", "pi-01")

    assert wrong.exit == 2
    assert wrong.events[-1]["code"] == code
    assert f"{host.manifest}: " in wrong.err
    assert words in wrong.err
    assert lies == {}
    assert right.exit == 0, right.err
    assert [manifest.version for manifest in pi.wants] == [1], "no version was spent"


@pytest.mark.parametrize(
    ("written", "known", "words"),
    [
        ("version = 99999999999999999999", 1, "version must be a whole number from 1 to 9007199254740991"),
        ("", 2**53 - 1, "no version can follow 9007199254740991 of har; run "),
    ],
)
def test_a_manifest_that_no_device_could_read_is_not_sent(
    host: Host, device: MakeDevice, written: str, known: int, words: str
) -> None:
    host.write_manifest(MANIFEST.replace('name = "har"', f'name = "har"\n{written}'))
    with device("pi-01", ends("succeeded", "accepted"), highest={"har": known}) as pi:
        ended = host.push("--device", "pi-01", "--timeout", "5")

    assert ended.exit == 2
    assert words in ended.err
    assert "upload" not in ended.err
    assert pi.wants == []


def test_one_of_several_devices_that_cannot_is_named_and_the_others_are_sent_to(host: Host, device: MakeDevice) -> None:
    camera = {"camera": {"kind": "camera"}}
    refuses = ends("failed", "source_unknown")
    with device("pi-01", ends("succeeded", "accepted")), device("pi-02", refuses, sources=camera):
        ended = host.push("--all", "--json")

    assert "pi-02 will answer source_unknown: pi-02 has no source 'imu'; known: camera" in ended.err
    assert ended.exit == 5
    assert ended.events[-1]["devices"]["pi-01"]["end"] == "succeeded"


def test_a_device_that_names_no_sources_is_not_judged_here(host: Host, device: MakeDevice) -> None:
    with device("pi-01", ends("succeeded", "accepted"), sources={}):
        ended = host.push("--device", "pi-01")

    assert ended.exit == 0
    assert "pi-01 will answer source_unknown" in ended.err


RECALL = "[gates]\nmin_class_recall = 0.9\n"
SEVERAL = MANIFEST.replace("[output]", '[[outputs]]\nname = "class"') + '[[outputs]]\nname = "speed"\n'


@pytest.mark.parametrize(
    ("text", "written"), [(MANIFEST + RECALL, "[gates] min_class_recall"), (SEVERAL, "[[outputs]]")]
)
def test_what_a_named_device_does_not_know_is_not_sent_to_it(
    host: Host, device: MakeDevice, text: str, written: str
) -> None:
    host.write_manifest(text)
    ok = ends("succeeded", "accepted")
    with device("pi-01", ok, features=[], agent_version="0.1.0") as old, device("pi-02", ok) as new:
        both = host.push("--device", "pi-01", "--device", "pi-02", "--json")
        dry = host.push("--device", "pi-01", "--dry-run")
        lies = retained_here(host, f"{host.namespace}/b/+/h/+", f"{host.namespace}/d/+/want/+")
        alone = host.push("--device", "pi-02")

    assert (both.exit, dry.exit, alone.exit) == (2, 2, 0), alone.err
    assert both.events[-1]["code"] == "feature_unknown"
    sentence = f"pi-01 (edge-agent 0.1.0) does not know {written}; upgrade edge-agent there, or leave it out of"
    assert f"error: feature_unknown: {sentence} {host.manifest}" in both.err
    assert sentence in dry.err
    assert "upload" not in both.err
    assert lies == {}
    assert old.wants == []
    assert [(one.version, len(one.outputs), one.gates.min_class_recall) for one in new.wants] == [
        (1, 0, 0.9) if "gates" in written else (1, 2, None)
    ]


def test_of_a_group_it_is_said_how_many_devices_do_not_know_it(host: Host, device: MakeDevice) -> None:
    host.write_manifest(MANIFEST + RECALL)
    malformed = Say(refused="malformed")
    with (
        device("pi-01", ends("succeeded", "accepted"), groups=["lab"]),
        device("pi-02", malformed, groups=["lab"], features=[], agent_version="0.1.0") as old,
    ):
        ended = host.push("--group", "lab")

    assert (
        "1 of 2 devices does not know [gates] min_class_recall and refuses the manifest (malformed): pi-02" in ended.err
    )
    assert ended.exit == 6, "as the one that does not know it refuses"
    assert len(old.wants) == 1


def test_a_manifest_that_uses_nothing_new_goes_to_devices_of_then(host: Host, device: MakeDevice) -> None:
    with device("pi-01", ends("succeeded", "accepted"), features=[], agent_version="0.1.0") as pi:
        ended = host.push("--device", "pi-01")
        dry = host.push("--device", "pi-01", "--dry-run", "--json")

    assert ended.exit == 0, ended.err
    assert "does not know" not in ended.err
    (content,) = (unseal(envelope, MANIFEST_TYPE).content() for envelope in pi.envelopes)
    assert json.loads(content).keys() == dry.events[0]["manifest"].keys()
    assert "outputs" not in json.loads(content)


@pytest.mark.parametrize(("status", "code", "exit_code"), [("succeeded", "accepted", 0), ("rejected", "too_noisy", 4)])
def test_the_same_once_more_sends_nothing_unless_again(
    host: Host, device: MakeDevice, status: str, code: str, exit_code: int
) -> None:
    host.write_manifest(MANIFEST.replace('name = "har"', 'name = "har"\nversion = 3'))
    with device("pi-01", ends(status, code)) as pi:
        first = host.push("--device", "pi-01", "--json")
        same = host.push("--device", "pi-01")
        as_json = host.push("--device", "pi-01", "--json", "--no-wait")
        again = host.push("--device", "pi-01", "--again", "--json")
        host.write_manifest(MANIFEST)
        plain = host.push("--device", "pi-01")

    job = first.events[-1]["job"]
    assert [one.exit for one in (first, same, as_json, again, plain)] == [exit_code] * 5
    judged = f"har 3 with this very content was judged before, as job {job} (pi-01 {status})"
    assert f"{judged}, and nothing is sent" in same.err
    assert "upload" not in same.err
    assert code in same.out or status in same.out
    assert [event["event"] for event in as_json.events] == ["summary"]
    assert as_json.events[-1] == first.events[-1]
    assert [manifest.version for manifest in pi.wants] == [3, 4, 5], "a plain push is a new try"
    assert again.events[-1]["version"] == 4


@pytest.mark.parametrize("again_to", [["--device", "pi-01"], ["--group", "lab"]])
def test_a_version_that_was_rolled_back_is_no_success_when_it_is_pushed_again(
    host: Host, device: MakeDevice, again_to: list[str]
) -> None:
    host.write_manifest(MANIFEST.replace('name = "har"', 'name = "har"\nversion = 3'))
    with device("pi-01", ends("succeeded", "accepted"), groups=["lab"]) as pi:
        first = host.push("--device", "pi-01")
        pi.run("har", 1)
        same = host.push(*again_to)
        pi.run("har", 1)  # a real device does not begin it again, this one does
        as_json = host.push(*again_to, "--json")

    sentence = "har 3 succeeded here before, but har 1 is active now, as this one was rolled back; give --again"
    assert (first.exit, same.exit, as_json.exit) == (0, 8, 8)
    assert f"pi-01: {sentence}" in same.err
    assert "succeeded:" not in same.err
    assert f"pi-01  inactive not_active\n  {sentence}" in same.out
    assert "succeeded\n" not in same.out, "no table says so"
    found = as_json.events[-1]["devices"]["pi-01"]
    assert (found["end"], found["code"]) == ("inactive", "not_active")


def test_a_labelled_set_travels_as_a_second_blob(
    host: Host, device: MakeDevice, broker: Broker, namespace: str
) -> None:
    labelled = host.folder / "eval.npz"
    np.savez(labelled, imu=np.zeros((2, 3), np.float32))
    with device("pi-01", ends("succeeded", "accepted")) as pi:
        ended = host.push("--device", "pi-01", "--eval", labelled)

    evaluation = pi.wants[0].eval
    assert ended.exit == 0
    assert evaluation is not None
    chunk = Topics(namespace).chunk(evaluation.sha256, 0)
    assert retained(broker, namespace, chunk) == {chunk: labelled.read_bytes()}


@pytest.mark.parametrize("written", [b"labelled windows", None])
def test_a_labelled_set_that_is_no_archive_is_not_sent(host: Host, device: MakeDevice, written: bytes | None) -> None:
    labelled = host.folder / "eval.npz"
    if written is not None:
        labelled.write_bytes(written)
    host.write_manifest(f"{MANIFEST}[eval]\nfile = '{labelled}'\n")

    with device("pi-01") as pi:
        ended = host.push("--device", "pi-01")

    assert ended.exit == 2
    assert ("is no .npz file; save it with numpy.savez" if written else "[eval] file: no such file") in ended.err
    assert pi.wants == []


@pytest.mark.parametrize("name", ["broken.onnx", "broken.tflite"])
def test_a_model_that_does_not_read_as_one_is_told_about(host: Host, device: MakeDevice, name: str) -> None:
    broken = host.folder / name
    broken.write_bytes(b"hello world " * 100)

    with device("pi-01"):
        ended = host.run(main, broken, "--manifest", host.manifest, "--device", "pi-01", "--dry-run")

    assert ended.exit == 0, ended.err
    assert f"{broken} does not read as" in ended.err
    assert "check that the file is whole" in ended.err


def pasted(sentence: str, before: str) -> "subprocess.CompletedProcess[str]":
    """What follows ``before`` in a sentence, typed at a shell."""
    (line,) = (line for line in sentence.splitlines() if before in line)
    return subprocess.run(  # noqa: S602  # pasted
        line.split(before)[1], shell=True, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_commands_that_are_printed_can_be_pasted(host: Host, device: MakeDevice) -> None:
    """No ``host.toml`` names the broker here: the printed commands must."""
    host.write_manifest(MANIFEST.replace('name = "har"', 'name = "har"\nversion = 3'))
    with device("pi-01", ends("succeeded", "accepted"), groups=["lab"], highest={"har": 3}) as pi:
        sent = host.push("--device", "pi-01", "--no-wait")
        assert pi.wanted.wait(60)
        watched = pasted(sent.err, "watch it with: ")
        host.write_manifest(MANIFEST.replace('name = "har"', 'name = "har"\nversion = 2'))
        older = host.push("--device", "pi-01", "--dry-run")
        rolled_back = pasted(older.err, "to activate the release before: ")
        host.write_manifest(MANIFEST.replace('name = "har"', 'name = "har"\nversion = 3'))
        judged = host.push("--group", "lab")
        recalibrated = pasted(judged.err, "; or run ")
        full = host.push("--device", "pi-01", "--max-broker-bytes", "1", "--again")
        purged = pasted(full.err.replace(", or raise it", ""), ": run ")

    assert [one.returncode for one in (watched, recalibrated, rolled_back, purged)] == [0, 0, 0, 0], rolled_back.stderr
    assert "succeeded" in watched.stdout
    assert [(command.action, command.version) for command in pi.commands] == [("rollback", 3), ("recalibrate", 3)]


def test_the_same_version_again_is_the_same_job(host: Host, device: MakeDevice) -> None:
    host.write_manifest(MANIFEST.replace('name = "har"', 'name = "har"\nversion = 3'))
    with device("pi-01", ends("succeeded", "accepted"), groups=["lab"]):
        one = host.push("--device", "pi-01", "--json")
        two = host.push("--group", "lab", "--json")

    assert "has judged this very manifest before (succeeded)" in two.err
    assert "judged" not in one.err
    assert one.events[-1]["job"] == two.events[-1]["job"]
    assert one.events[-1]["version"] == two.events[-1]["version"] == 3


def test_no_broker(host: Host) -> None:
    argv = [host.model, "--manifest", host.manifest, "--device", "pi-01"]
    ended = host.run_bare(main, *argv, "--broker", "mqtt://127.0.0.1:9", "--broker-timeout", "0.3", "--json")

    assert ended.exit == 3
    assert ended.events[-1]["code"] == "broker_unreachable"
    assert "error: broker_unreachable" in ended.err


def test_a_broker_that_goes_while_we_wait(host: Host, device: MakeDevice, broker: Broker) -> None:
    with device("pi-01") as pi:
        killer = threading.Thread(target=lambda: (pi.wanted.wait(60), broker.kill()))
        killer.start()
        where = ["--broker", host.url, "--namespace", host.namespace, "--broker-timeout", "0.5"]
        ended = host.run_bare(main, host.model, "--manifest", host.manifest, "--device", "pi-01", *where)
        killer.join()
        pi.link.stop()
        pi.broker_is_gone = True

    assert ended.exit == 3


def test_a_device_that_misses_chunks_is_answered(host: Host, device: MakeDevice, namespace: str) -> None:
    topics = Topics(namespace)
    host.model.write_bytes(bytes(3 * CHUNK_BYTES))
    host.monkeypatch.setattr("host_tools.push.upload._RESEND_AFTER_S", 0.3)
    healed = threading.Event()
    asking: list[threading.Thread] = []

    def lose_chunk_1(pi: FakeDevice, manifest: Manifest) -> None:
        pi.publish(topics.chunk(manifest.blob.sha256, 1), b"")
        need = Need(device="pi-01", sha256=manifest.blob.sha256, chunks=[(1, 1)])
        deadline = time.monotonic() + 60

        def ask() -> None:
            topic = topics.chunk(manifest.blob.sha256, 1)
            while time.monotonic() < deadline and not retained_here(host, topic):
                assert pi.link.publish(topics.device("pi-01", "need"), encode(need)).wait(60)
                time.sleep(0.1)
            if retained_here(host, topic):
                healed.set()
            pi.report(job_id(content_digest(unseal(pi.envelopes[0], MANIFEST_TYPE).content())), status="succeeded")

        asking.append(threading.Thread(target=ask))
        asking[-1].start()

    with device("pi-01", on_want=lose_chunk_1):
        ended = host.push("--device", "pi-01", "--timeout", "60")
        for thread in asking:  # it says which release is active after its report, which ends the push
            thread.join()

    assert ended.exit == 0, ended.err
    assert healed.is_set()


def test_a_dry_run_sends_nothing(host: Host, device: MakeDevice) -> None:
    with device("pi-01", highest={"har": 2}):
        ended = host.push("--device", "pi-01", "--dry-run")

    shown = json.loads(ended.out)
    assert ended.exit == 0
    assert shown["manifest"]["version"] == 3
    assert shown["wants"] == [f"{host.namespace}/d/pi-01/want/har"]
    assert retained_here(host, f"{host.namespace}/b/+/h/+", f"{host.namespace}/d/+/want/+") == {}


def test_a_dry_run_finds_what_no_device_could_do(host: Host, device: MakeDevice) -> None:
    step = '[input]\nsteps = [{ op = "reshap", shape = [-1] }]'
    host.write_manifest(MANIFEST.replace("[input]", step))
    with device("pi-01"):
        ended = host.push("--device", "pi-01", "--dry-run")

    assert ended.exit == 2
    assert "recipe_unsupported" in ended.err
    assert "[input] steps 1: unknown op 'reshap'; did you mean 'reshape'?" in ended.err


def test_a_full_broker_is_not_filled_further(host: Host, device: MakeDevice) -> None:
    with device("pi-01") as pi:
        ended = host.push("--device", "pi-01", "--max-broker-bytes", "100000")

    assert ended.exit == 2
    assert "broker_full" in ended.err
    assert pi.wants == []


def test_another_devices_claim_moves_no_version(host: Host, device: MakeDevice) -> None:
    with device("pi-07", highest={"har": MAX_VERSION}), device("pi-01", ends("succeeded", "accepted")) as pi:
        ended = host.push("--device", "pi-01")

    assert ended.exit == 0, ended.err
    assert pi.wants[0].version == 1


@pytest.mark.parametrize(("claimed", "forced"), [(9_000_000, 0), (MAX_VERSION, 2)])
def test_a_targets_claim_far_above_what_is_signed_is_not_signed_in_passing(
    host: Host, device: MakeDevice, claimed: int, forced: int
) -> None:
    with device("pi-07", ends("succeeded", "accepted"), groups=["lab"], highest={"har": claimed}) as liar:
        refused = host.push("--group", "lab", "--json")
        ended = host.push("--group", "lab", "--force")

    assert (refused.exit, refused.events[-1]["code"]) == (2, "version_jump")
    assert "forget har --device pi-07" in refused.err
    assert ended.exit == forced
    assert [want.version for want in liar.wants] == ([] if forced else [claimed + 1])


def test_a_forged_want_moves_no_version(host: Host, device: MakeDevice, broker: Broker, namespace: str) -> None:
    """Anybody may lay one there; what counts is what the operator's key has signed."""
    generate_key(host.folder / "me.key", host.folder / "me.pem")
    generate_key(host.folder / "stranger.key", host.folder / "stranger.pem")
    topics, other, sign = Topics(namespace), Scope("g", "attic"), ("--sign", host.folder / "me.key")
    with device("pi-01", ends("succeeded", "accepted")) as pi:
        host.push("--device", "pi-01", *sign)
        forged = msgspec.structs.replace(pi.wants[0], version=900, targets=[str(other)])
        envelope = enclose(encode_manifest(forged), MANIFEST_TYPE, str(host.folder / "stranger.key"))
        pi.publish(topics.want(other, "har"), envelope)
        ended = host.push("--device", "pi-01", "--again", *sign)

    assert ended.exit == 0, ended.err
    assert [want.version for want in pi.wants] == [1, 2]
