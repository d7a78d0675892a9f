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


def test_names_and_values_in_quotes_stay_what_they_are() -> None:
    said = """int8's layer 'head/int8' is float's; boxes' int8 has "it's int8", accept = ["int8"]"""

    assert worded(said, "float16") == said.replace("int8's", "fp16's").replace("boxes' int8", "boxes' fp16")


def test_a_record_is_told_of_in_its_own_word() -> None:
    assert in_its_words(MeasuredModel(method="float16", message="int8 loses")).message == "fp16 loses"
    assert in_its_words(MeasuredModel(method="float16")).message is None
