"""A word in a colour, with a mark before it: never the colour alone. Pure."""

from typing import Literal

from edge_agent.report.html.markup import Markup, element

Tone = Literal["good", "busy", "warn", "bad", "off", "plain"]
_MARKS: dict[Tone, str] = {"good": "✓", "busy": "◔", "warn": "▲", "bad": "✕", "off": "○", "plain": "·"}


def badge(text: str, tone: Tone, title: str | None = None) -> Markup:
    """The word ``text``."""
    mark = element("span", _MARKS[tone], class_="mark", aria_hidden="true")
    return element("span", mark, " ", text, class_=f"badge {tone}", title=title)


def progress(part: float, text: str) -> Markup:
    """A bar of which ``part`` (0 to 1) is done, with a word."""
    done = max(0.0, min(part, 1.0))
    bar = element("progress", max="100", value=f"{100 * done:.0f}", aria_label=text)
    return element("span", bar, element("small", f"{done:.0%} {text}"), class_="working")
