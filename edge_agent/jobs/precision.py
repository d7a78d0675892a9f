"""The name of a candidate's number format in sentences and headings: int8 or fp16. Pure.

The gates' sentences are written for int8, the subject of nearly every job. For a float16 candidate the same sentences
hold with "fp16" in place of "int8".
"""

import re

import msgspec

from edge_agent.jobs.result import MeasuredModel, Result

_INT8 = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*")(?!\w)|\bint8\b""")
"""The word, or a quoted name or value, which stays as it is. An apostrophe opens no quotes."""


def precision(*methods: str) -> str:
    """``fp16`` if all methods are float16, else ``int8``."""
    return "fp16" if methods and set(methods) == {"float16"} else "int8"


def judged_precision(result: Result) -> str:
    """The precision of the model that a result judges."""
    return precision(*([] if result.judged is None else [result.judged.method]))


def worded(sentence: str, *methods: str) -> str:
    """A sentence about int8, with the name for candidates of these methods."""
    word = precision(*methods)
    return _INT8.sub(lambda found: word if found[0] == "int8" else found[0], sentence)


def in_its_words(model: MeasuredModel) -> MeasuredModel:
    """A model's record whose sentence names its own number format."""
    return msgspec.structs.replace(model, message=worded(model.message, model.method)) if model.message else model
