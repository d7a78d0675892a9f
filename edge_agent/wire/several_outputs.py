"""The rules for ``[[outputs]]`` that concern more than one of its tables. Pure."""

from collections.abc import Collection, Iterable

ONE_OR_SEVERAL = (
    "[output] is for one output, [[outputs]] for several; write [output] as one more [[outputs]] with its name, or "
    "leave [[outputs]] out"
)


def check_apart(tables: Iterable[Collection[str]]) -> None:
    """Raise ``ValueError`` unless each table names outputs, and no two tables name the same one.

    Args:
        tables: the names in each table, in the order of the file.
    """
    taken: set[str] = set()
    for number, names in enumerate(tables, 1):
        if not names:
            raise ValueError(f"[[outputs]] {number}: name is missing; add the name of the model output")
        if twice := sorted(taken.intersection(names)):
            raise ValueError(f"[[outputs]] {number}: output {twice[0]!r} is named in two of them; keep one")
        taken.update(names)
