"""What ``[[outputs]]`` must keep to beside what each of its tables says. Pure."""

from collections.abc import Collection, Iterable

ONE_OR_SEVERAL = (
    "[output] is for one output, [[outputs]] for several; write what [output] says as one more [[outputs]], with its "
    "name, or leave [[outputs]] out"
)


def check_apart(tables: Iterable[Collection[str]]) -> None:
    """Raise ``ValueError`` unless each table names outputs of the model, and none another's.

    Args:
        tables: the names in each, in the order of the file.
    """
    taken: set[str] = set()
    for number, names in enumerate(tables, 1):
        if not names:
            raise ValueError(f"[[outputs]] {number}: name is missing; give the model output that it is about")
        if twice := sorted(taken.intersection(names)):
            raise ValueError(f"[[outputs]] {number}: output {twice[0]!r} stands in two of them; keep one")
        taken.update(names)
