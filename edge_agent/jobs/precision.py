"""The name of a candidate's number format in sentences and headings: int8 or fp16. Pure.

The gates' sentences are written for int8, the subject of nearly every job. For a float16 candidate the same sentences
hold with "fp16" in place of "int8".
"""

import re

import msgspec

from edge_agent.jobs.result import MeasuredModel

_INT8 = re.compile(r"\bint8\b")


def precision(*methods: str) -> str:
    """``fp16`` if all methods are float16, else ``int8``."""
    return "fp16" if methods and set(methods) == {"float16"} else "int8"


def worded(sentence: str, *methods: str) -> str:
    """A sentence about int8, with the name for candidates of these methods."""
    return _INT8.sub(precision(*methods), sentence)


def in_its_words(model: MeasuredModel) -> MeasuredModel:
    """A model's record whose sentence names its own number format."""
    return msgspec.structs.replace(model, message=worded(model.message, model.method)) if model.message else model
