from edge_agent.jobs.precision import in_its_words, precision, worded
from edge_agent.jobs.result import MeasuredModel


def test_only_what_is_float16_throughout_is_fp16() -> None:
    assert [precision(*methods) for methods in ((), ("static",), ("float16",), ("float16", "static"))] == [
        "int8", "int8", "fp16", "int8",
    ]  # fmt: skip


def test_a_sentence_about_a_float16_model_names_fp16_and_no_other_does() -> None:
    said = "int8's error is too large; int8_weights and uint8 stay"

    assert worded(said, "float16") == "fp16's error is too large; int8_weights and uint8 stay"
    assert worded(said, "static") == said
    assert in_its_words(MeasuredModel(method="float16", message="int8 loses")).message == "fp16 loses"
    assert in_its_words(MeasuredModel(method="float16")).message is None
