"""Splits a line into fields, and parses numbers. Pure.

Numbers are decimals with a point or a comma, ``nan`` and ``inf`` (the quality check reports them). The other mark, a
blank or an apostrophe may separate groups of thousands: ``1,234.5``, ``1.234,5``, ``1 234,5``, ``1'234.5``.
"""

import csv
import re
from typing import NamedTuple

SEPARATORS = ",;\t|"
BLANKS = " "
"""The separator of a table with any number of blanks or tabs between fields."""
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_WORD = r"[+-]?(?:nan|inf|infinity)"
_SPACES = " \u00a0\u202f'\u2019"


class Form(NamedTuple):
    """The forms of numbers with one kind of decimal mark: plain, and with groups of thousands."""

    plain: re.Pattern[str]
    grouped: re.Pattern[str]
    marks: str


def _form(plain: str, fraction: str, other: str) -> Form:
    marks = _SPACES + other
    groups = rf"[+-]?[1-9]\d{{0,2}}(?:([{re.escape(marks)}])\d{{3}})(?:\1\d{{3}})*(?:{fraction})?"
    return Form(re.compile(f"[+-]?(?:{plain}){_EXPONENT}|{_WORD}", re.ASCII | re.IGNORECASE), re.compile(groups), marks)


FORMS = {".": _form(r"\d+\.?\d*|\.\d+", r"\.\d*", ","), ",": _form(r"\d+(?:,\d+)?|,\d+", r",\d+", ".")}


class Dialect(NamedTuple):
    """The separator and the decimal mark of a table."""

    separator: str
    decimal: str

    def split(self, text: str) -> list[str]:
        """Split a line into fields, without quotes and blanks around them."""
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
        """Parse ``field`` as a number; None if it is none."""
        form = FORMS[self.decimal]
        if not form.plain.fullmatch(field):
            if not form.grouped.fullmatch(field):
                return None
            field = field.translate(dict.fromkeys(map(ord, form.marks)))
        return float(field.replace(",", ".") if self.decimal == "," else field)

    def grouped(self, field: str) -> bool:
        """Return whether ``field`` is a number only if groups of thousands are allowed."""
        form = FORMS[self.decimal]
        return not form.plain.fullmatch(field) and form.grouped.fullmatch(field) is not None


DIALECTS = [Dialect(separator, decimal) for separator in (*SEPARATORS, BLANKS) for decimal in (".", ",")]
"""The dialects to try, the plainest first. A comma can be both mark and separator if numbers are quoted."""


def trimmed(fields: list[str]) -> list[str]:
    """Remove empty fields at the end, which result from separators after the last field."""
    end = len(fields)
    while end and not fields[end - 1]:
        end -= 1
    return fields[:end]
