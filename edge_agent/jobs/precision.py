"""What candidates are called by the numbers that they are made of, in sentences and headings: int8 or fp16. Pure.

Gates and what they say are written for int8, which is what nearly every job is about. Of a float16 candidate the same
holds word for word, and so the one word is exchanged where a sentence leaves the judgement.
"""

import re

import msgspec

from edge_agent.jobs.result import MeasuredModel, Result

_INT8 = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*")(?!\w)|\bint8\b""")
"""The word, or what stands in quotes: a name or a value, and no word of ours. An apostrophe opens no quotes."""


def precision(*methods: str) -> str:
    """``fp16`` if all that is spoken of is float16, else ``int8``."""
    return "fp16" if methods and set(methods) == {"float16"} else "int8"


def judged_precision(result: Result) -> str:
    """What a result's verdict is about."""
    return precision(*([] if result.judged is None else [result.judged.method]))


def worded(sentence: str, *methods: str) -> str:
    """A sentence about int8, in the word for candidates of these methods."""
    word = precision(*methods)
    return _INT8.sub(lambda found: word if found[0] == "int8" else found[0], sentence)


def in_its_words(model: MeasuredModel) -> MeasuredModel:
    """A record whose sentence calls it what it is."""
    return msgspec.structs.replace(model, message=worded(model.message, model.method)) if model.message else model
