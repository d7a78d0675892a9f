"""What a device says of itself, by how the child that looks at its runtimes ended."""

import json
import logging
from pathlib import Path

import pytest

from edge_agent.daemon.device_info import Identity
from edge_agent.process.child_exit import ChildExit
from edge_agent.settings.device import parse_config
from edge_agent.state.store import Store
from edge_agent.wire.messages import encode

FOUND = {"runtimes": {"onnxruntime": "1"}, "broken": {}, "formats": ["onnx"], "confinement": ["seccomp"]}
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1\nModuleNotFoundError: No module named {!r}\n'


def test_what_the_child_found_is_what_the_device_has() -> None:
    identity = Identity()

    identity.take_inventory(ChildExit(0, "exited", 0, "", 1.0), json.dumps(FOUND))

    assert (identity.runtimes, identity.formats, identity.confinement) == ({"onnxruntime": "1"}, ("onnx",), ["seccomp"])


def test_without_the_extra_no_format_is_claimed(caplog: pytest.LogCaptureFixture) -> None:
    identity = Identity()

    identity.take_inventory(ChildExit(1, "exited", 0, TRACEBACK.format("numpy"), 0.1), "")

    assert identity.formats == ()
    assert "no model can be quantized here: numpy is not installed; install the extra device" in caplog.text


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (ChildExit(-9, "timeout", 9, "", 300.0), "did not answer (nothing within 300 s)"),
        (ChildExit(-11, "signaled", 11, "", 0.1), "did not answer (it was killed by SIGSEGV)"),
        (ChildExit(1, "exited", 0, TRACEBACK.format("foreign"), 0.1), "No module named 'foreign')"),
    ],
)
def test_how_a_child_without_an_answer_ended_is_said_and_formats_may_still_be_tried(
    caplog: pytest.LogCaptureFixture, ended: ChildExit, words: str
) -> None:
    identity = Identity()

    with caplog.at_level(logging.ERROR):
        identity.take_inventory(ended, "")

    assert words in caplog.text
    assert ("within" in caplog.text) is (ended.reason == "timeout")
    assert identity.formats == ("onnx", "tflite")


def test_what_a_manifest_may_say_here_is_listed(tmp_path: Path) -> None:
    config = parse_config({"device_id": "pi-01", "mqtt": {"url": "mqtt://127.0.0.1"}}, "test")

    info = Identity().info(config, Store(tmp_path), {})

    assert {"outputs", "min_class_recall"} <= set(info.features)


def test_what_confines_each_kind_of_process_is_told_once_it_is_known(tmp_path: Path) -> None:
    config = parse_config({"device_id": "pi-01", "mqtt": {"url": "mqtt://127.0.0.1"}}, "test")
    identity = Identity()
    before = identity.info(config, Store(tmp_path), {})

    identity.take_inventory(
        ChildExit(0, "exited", 0, "", 1.0), json.dumps({**FOUND, "layers": {"worker": ["seccomp"]}})
    )

    assert b"layers" not in encode(before)
    told = identity.info(config, Store(tmp_path), {}).layers
    assert isinstance(told, dict)
    assert told["worker"] == ["seccomp"]
    assert "daemon" in told
