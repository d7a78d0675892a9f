"""A line becomes fields, and a field a number. Pure.

Numbers are decimals with a point or a comma, ``nan`` and ``inf`` (quality will speak of them), with groups of thousands
set apart by the other of the two marks, a blank or an apostrophe: ``1,234.5``, ``1.234,5``, ``1 234,5``, ``1'234.5``.
"""

import csv
import re
from typing import NamedTuple

SEPARATORS = ",;\t|"
BLANKS = " "
"""The separator of a table whose fields stand apart by any number of blanks or tabs."""
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_WORD = r"[+-]?(?:nan|inf|infinity)"
_SPACES = " \u00a0\u202f'\u2019"


class Form(NamedTuple):
    """How numbers with one kind of decimal mark are written: plainly, and in groups of thousands."""

    plain: re.Pattern[str]
    grouped: re.Pattern[str]
    marks: str


def _form(plain: str, fraction: str, other: str) -> Form:
    marks = _SPACES + other
    groups = rf"[+-]?[1-9]\d{{0,2}}(?:([{re.escape(marks)}])\d{{3}})(?:\1\d{{3}})*(?:{fraction})?"
    return Form(re.compile(f"[+-]?(?:{plain}){_EXPONENT}|{_WORD}", re.ASCII | re.IGNORECASE), re.compile(groups), marks)


FORMS = {".": _form(r"\d+\.?\d*|\.\d+", r"\.\d*", ","), ",": _form(r"\d+(?:,\d+)?|,\d+", r",\d+", ".")}


class Dialect(NamedTuple):
    """How the fields of a table stand apart, and what its decimal mark is."""

    separator: str
    decimal: str

    def split(self, text: str) -> list[str]:
        """The fields of a line, without quotes and blanks around them."""
        if '"' in text:
            if self.separator == BLANKS:
                text = BLANKS.join(text.split())
            return [
                field.strip() for field in next(csv.reader([text], delimiter=self.separator, skipinitialspace=True))
            ]
        if self.separator == BLANKS:
            return text.split()
        return [field.strip() for field in text.split(self.separator)]

    def number(self, field: str) -> float | None:
        """The number that ``field`` is; None if it is none."""
        form = FORMS[self.decimal]
        if not form.plain.fullmatch(field):
            if not form.grouped.fullmatch(field):
                return None
            field = field.translate(dict.fromkeys(map(ord, form.marks)))
        return float(field.replace(",", ".") if self.decimal == "," else field)

    def grouped(self, field: str) -> bool:
        """Whether ``field`` is a number only because it is read in groups of thousands."""
        form = FORMS[self.decimal]
        return not form.plain.fullmatch(field) and form.grouped.fullmatch(field) is not None


DIALECTS = [Dialect(separator, decimal) for separator in (*SEPARATORS, BLANKS) for decimal in (".", ",")]
"""Those that are looked for, the plainest first. A comma is mark and separator at once where numbers are quoted."""


def trimmed(fields: list[str]) -> list[str]:
    """Fields without the empty ones at the end, which separators behind the last field make."""
    end = len(fields)
    while end and not fields[end - 1]:
        end -= 1
    return fields[:end]
