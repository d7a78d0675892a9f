"""A coloured word with a mark before it, so that colour is never the only sign. Pure."""

from typing import Literal

from edge_agent.report.html.markup import Markup, element

Tone = Literal["good", "busy", "warn", "bad", "off", "plain"]
_MARKS: dict[Tone, str] = {"good": "✓", "busy": "◔", "warn": "▲", "bad": "✕", "off": "○", "plain": "·"}


def badge(text: str, tone: Tone, title: str | None = None) -> Markup:
    """The badge with the word ``text``."""
    mark = element("span", _MARKS[tone], class_="mark", aria_hidden="true")
    return element("span", mark, " ", text, class_=f"badge {tone}", title=title)


def progress(part: float, text: str) -> Markup:
    """A progress bar at ``part`` (0 to 1), with a word."""
    done = max(0.0, min(part, 1.0))
    bar = element("progress", max="100", value=f"{100 * done:.0f}", aria_label=text)
    return element("span", bar, element("small", f"{done:.0%} {text}"), class_="working")
