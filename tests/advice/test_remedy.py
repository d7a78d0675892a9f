"""What to do: a code's remedy, unless the message says better."""

import pytest

from edge_agent.advice.remedy import remedy_for, split_advice
from edge_agent.errors import CODES


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("non_finite", "3 of 300 rows of the labelled set hold NaN or Inf; the first is row 7 of 'x'; remove them"),
        ("source_unavailable", "x.npz cannot be replayed ([Errno 2] No such file); check path in the config"),
        ("source_unavailable", "a microphone needs PortAudio (not found): sudo apt install libportaudio2"),
        ("source_unavailable", "/dev/video0: permission denied, it belongs to user root; use sudo"),
        ("too_few_windows", "60 windows cannot prove it even without an error; give at least 88 rows (--eval)"),
        ("no_space", "the set holds transposed arrays: 3 MB are free; free some, or save contiguous copies"),
        ("model_unsupported", "the model uses what nobody knows"),
        ("not_active", "this device knows no model 'hat'; did you mean 'har'?"),
        ("of_a_newer_version", "something else happened"),
    ],
)
def test_a_message_that_says_what_to_do_stands_alone(code: str, message: str) -> None:
    assert remedy_for(code, message) == ""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("agreement_too_low", "14 of 300 windows disagree; to prove 95 % at most 8 may"),
        (
            "latency_too_high",
            "int8 takes 1.3 times as long; at most 1 is allowed; [gates] max_latency_ratio = 2 allows it",
        ),
        ("source_silent", "nothing came from /dev/ttyUSB0 in 10 s"),
        ("stage_crashed", "the worker was killed by SIGSEGV: Segmentation fault"),
        ("non_finite", "the settings; useless"),
    ],
)
def test_what_a_message_leaves_open_the_code_answers(code: str, message: str) -> None:
    assert remedy_for(code, message) == CODES[code].remedy


def test_a_message_comes_apart_into_what_is_wrong_and_what_to_do() -> None:
    assert split_advice("a microphone needs PortAudio (x): sudo apt install libportaudio2") == (
        "a microphone needs PortAudio (x)", "sudo apt install libportaudio2",
    )  # fmt: skip
    assert split_advice("a; use b, or set c; run d") == ("a", "use b, or set c; run d")
    assert split_advice("nothing to be done") == ("nothing to be done", "")
