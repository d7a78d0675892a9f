"""The labelled set on the page: each metric of float and of what was judged, and the classes that it lost."""

from edge_agent.jobs.data_summary import ClassLoss, LabelledSet, Metric
from edge_agent.report.html import numbers
from edge_agent.report.html.cards import table
from edge_agent.report.html.markup import Markup, element

_NAMES = {
    "accuracy": "accuracy",
    "auc": "area under the curve",
    "mae": "mean absolute error",
    "map": "mean average precision",
    "map50": "the same at an overlap of 0.5",
}


def labelled(told: LabelledSet | None, name: str) -> Markup:
    """The section of ``data.eval``; empty if no labelled set came with the model, or it was not opened.

    ``name``: what was judged against float, int8 or fp16.
    """
    if told is None or told.metrics is None:
        return Markup()
    decides = "" if told.decides else " It does not decide this verdict."
    agreement = numbers.known(numbers.share, told.agreement)
    what = (
        f"{numbers.known(numbers.plain, told.windows)} windows that came with the model, which count as "
        f"{numbers.known(numbers.plain, told.windows_effective)}. {name} agrees with float in {agreement}."
        f"{decides}"
    )
    metrics = {"metric": False, "float": True, name: True, "drop": True, "at most (95 %)": True}
    classes = {"class": False, "windows": True, "float right": True, f"{name} right": True, "lost": True}
    parts = [element("h2", "Labelled set"), element("p", what, class_="note")]
    if told.metrics:
        parts.append(table(metrics, [_metric(one) for one in told.metrics], "metrics", "Metrics"))
    if told.classes:
        parts.append(element("p", f"Classes that {name} gets right less often than float:", class_="note"))
        parts.append(table(classes, [_class(one) for one in told.classes], "metrics", "Classes"))
    return element("section", *parts)


def _metric(one: Metric) -> Markup:
    form = numbers.share if one.name == "accuracy" else numbers.plain
    values = [numbers.known(form, value) for value in (one.reference, one.target, one.drop, one.drop_upper)]
    return _row(_NAMES.get(one.name, one.name), values)


def _class(one: ClassLoss) -> Markup:
    lost = one.float_right - one.int8_right
    return _row(str(one.label), [str(number) for number in (one.windows, one.float_right, one.int8_right, lost)])


def _row(name: str, values: list[str]) -> Markup:
    return element("tr", element("th", name, scope="row"), *(element("td", one, class_="n") for one in values))
