"""Elements of HTML and SVG. Text and attributes are escaped here and nowhere else."""

from html import escape


class Markup(str):
    """HTML that :func:`element` has made. It is not escaped again."""

    __slots__ = ()


_VOID = frozenset({"input", "link", "meta"})


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """One element.

    Args:
        tag: its name.
        children: :class:`Markup` as it is, any other string escaped.
        attributes: ``class_`` is ``class``, other ``_`` become ``-``; None leaves the attribute out.
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{named}>" if tag in _VOID else f"<{tag}{named}>{join(*children)}</{tag}>")


def join(*children: str) -> Markup:
    """The children one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))
