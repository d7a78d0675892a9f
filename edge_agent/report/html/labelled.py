"""The labelled set on the page: each metric of float and int8, and the classes that int8 lost."""

from collections.abc import Mapping
from typing import Any

from edge_agent.report.html import numbers
from edge_agent.report.html.cards import table
from edge_agent.report.html.markup import Markup, element

_METRICS = {"metric": False, "float": True, "int8": True, "drop": True, "at most (95 %)": True}
_CLASSES = {"class": False, "windows": True, "float right": True, "int8 right": True, "lost": True}
_NAMES = {"accuracy": "accuracy", "auc": "area under the curve", "mae": "mean absolute error"}


def labelled(told: Mapping[str, Any] | None) -> Markup:
    """The section of ``data.eval``; nothing if no labelled set came with the model, or none was opened."""
    if not told or "metrics" not in told:
        return Markup()
    decides = "" if told.get("decides") else " It does not decide this verdict."
    agreement = numbers.known(numbers.share, told.get("agreement"))
    what = (
        f"{numbers.known(numbers.plain, told.get('windows'))} windows that came with the model, which count as "
        f"{numbers.known(numbers.plain, told.get('windows_effective'))}. int8 says what float says in {agreement}."
        f"{decides}"
    )
    parts = [element("h2", "Labelled set"), element("p", what, class_="note")]
    if told["metrics"]:
        parts.append(table(_METRICS, [_metric(one) for one in told["metrics"]], "metrics"))
    if told.get("classes"):
        parts.append(element("p", "Classes of which int8 has fewer right than float:", class_="note"))
        parts.append(table(_CLASSES, [_class(one) for one in told["classes"]], "metrics"))
    return element("section", *parts)


def _metric(one: Mapping[str, Any]) -> Markup:
    name = str(one["name"])
    form = numbers.share if name == "accuracy" else numbers.plain
    values = [numbers.known(form, one.get(key)) for key in ("float", "int8", "drop", "drop_upper")]
    return _row(_NAMES.get(name, name), values)


def _class(one: Mapping[str, Any]) -> Markup:
    lost = one["float_right"] - one["int8_right"]
    return _row(str(one["label"]), [str(one[key]) for key in ("windows", "float_right", "int8_right")] + [str(lost)])


def _row(name: str, values: list[str]) -> Markup:
    return element("tr", element("th", name, scope="row"), *(element("td", one, class_="n") for one in values))
