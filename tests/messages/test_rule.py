"""What holds every message: the rule, who is looked at, and the root of all errors, which makes them printable."""

import pytest
from support.messages import faults, watched

from edge_agent.acquisition.stream_findings import malformed_finding
from edge_agent.errors import ConfigError, ModelError
from edge_agent.settings.broker import parse_url


@pytest.fixture(autouse=True)
def messages_are_sound() -> None:
    """Here are messages that are not."""


STRANGE = "the model uses something strange"


@pytest.mark.parametrize(
    ("code", "message", "wrong"),
    [
        ("model_unsupported", STRANGE, "says nothing to do"),
        ("usage", "M.toml: name: something strange", "says nothing to do"),
        ("release_corrupt", "release.json cannot be read ([Errno 2] No such file)", "holds a library's '[Errno'"),
        ("one_class", "all 1 windows are of one class", "says '1 windows'"),
        ("stage_crashed", "Traceback (most recent call last):\n  File", "is not one printable line"),
        ("usage", "must be " + "long" * 200, "has 808 characters"),
    ],
)
def test_the_rule_finds(code: str, message: str, wrong: str) -> None:
    assert wrong in faults(code, message)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("model_unsupported", "input 'x' has no shape; export the model with input shapes"),
        ("source_unknown", "this device has no source 'imo'; did you mean 'imu'?"),
        ("usage", "M.toml: [gates]: unknown key 'min_agrement'; did you mean 'min_agreement'?"),
        ("agreement_too_low", "31 of 300 windows disagree; to prove 95 % at most 8 may"),
    ],
)
def test_the_rule_lets_pass(code: str, message: str) -> None:
    assert faults(code, message) == []


def test_a_message_of_ours_is_looked_at_and_one_of_a_test_is_not() -> None:
    with watched() as found, pytest.raises(ConfigError):
        parse_url("http://x")
    assert found == {}
    with watched() as found:
        ModelError("model_unsupported", STRANGE)
    assert found == {}
    with watched() as found:
        exec(f"ModelError('model_unsupported', {STRANGE!r})", {"__name__": "edge_agent.x", "ModelError": ModelError})  # noqa: S102
    assert found == {("model_unsupported", STRANGE): ["says nothing to do"]}


def test_what_is_said_of_a_stream_is_looked_at() -> None:
    with watched() as found:
        malformed_finding(2, "\n")
    assert [wrong for _, wrong in found.items()] == [["is not one printable line"]]


def test_what_others_have_written_moves_no_cursor() -> None:
    error = ConfigError("usage", "name 'a\x1b[2Jb\nc' must match")

    assert error.message == r"name 'a\x1b[2Jb\nc' must match"
