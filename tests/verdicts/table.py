"""The conformance set: every row."""

from verdicts.case import Case
from verdicts.every_kind import every_kind
from verdicts.labelled import labelled
from verdicts.particular import particular
from verdicts.worth import worth

CASES: tuple[Case, ...] = (*every_kind(), *particular(), *labelled(), *worth())
