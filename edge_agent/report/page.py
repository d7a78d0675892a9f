"""The whole page, from one result and the histograms and ranges of calibration."""

from collections.abc import Mapping

import msgspec

from edge_agent import __version__
from edge_agent.backends import Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.summary import worst
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.report.html import cards, histogram
from edge_agent.report.html.markup import Markup, element
from edge_agent.report.html.sections import other_warnings, sections
from edge_agent.report.html.style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""A browser that obeys this policy loads and runs nothing, whatever a name in the page contains."""
_DEFAULT_RANGES = "minmax"


def render(
    result: Result,
    *,
    model: str,
    histograms: Mapping[str, Histogram],
    ranges: Mapping[str, Mapping[str, Range]],
) -> str:
    """The page of one result.

    Args:
        result: the result object, of any verdict.
        model: the model's title on the page, such as its file's name.
        histograms: tensor to histogram, from calibration; empty if it did not end. They are drawn if the result itself
            has none.
        ranges: range method to tensor to range, likewise.

    Returns:
        A complete HTML document.
    """
    target = result.judged or MeasuredModel()
    told = histogram.of_layers(result)
    method = target.calibration or "" if told or target.calibration in ranges else _DEFAULT_RANGES
    shown = told or worst(histograms, ranges.get(method, {}))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", f"{model}: {result.verdict}"),
        element("style", STYLE),
    )
    parts = [cards.verdict(result, model, other_warnings(result)), *sections(result, shown, method), _whole(result)]
    foot = element("footer", f"edge-agent {__version__}. Captured data are not in this page: statistics only.")
    return "<!doctype html>\n" + element("html", head, element("body", element("main", *parts, foot)), lang="en") + "\n"


def _whole(result: Result) -> Markup:
    text = msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
    return element("details", element("summary", "Everything, as in report.json"), element("pre", text))
