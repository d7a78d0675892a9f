"""The top of the page: the verdict, the figures that matter most, float beside int8, and the gates."""

from collections.abc import Callable, Mapping, Sequence

from edge_agent.advice.remedy import remedy_for
from edge_agent.jobs.digits import gate_numbers
from edge_agent.jobs.precision import precision, worded
from edge_agent.jobs.result import GateResult, MeasuredModel, Result
from edge_agent.jobs.titles import GATES, TITLES
from edge_agent.report.html import candidate, numbers
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.report.html.meter import meter

_Row = tuple[str, Callable[[float], str]]
_ROWS: tuple[_Row, ...] = (
    ("size_bytes", numbers.size),
    ("form_bytes", numbers.size),
    ("latency_p50_ms", numbers.milliseconds),
    ("latency_p95_ms", numbers.milliseconds),
    ("latency_p99_ms", numbers.milliseconds),
    ("preference", numbers.signed),
    ("peak_rss_bytes", numbers.size),
    ("model_rss_bytes", numbers.size),
    ("loaded_rss_bytes", numbers.size),
    ("steady_rss_bytes", numbers.size),
    ("load_ms", numbers.milliseconds),
    ("first_ms", numbers.milliseconds),
    ("accuracy", numbers.share),
    ("agreement", numbers.share),
    ("agreement_lower", numbers.share),
    ("windows", numbers.plain),
    ("windows_effective", numbers.plain),
    ("disagreements", numbers.plain),
    ("sqnr_db", numbers.decibel),
    ("cosine", numbers.plain),
    ("max_abs_error", numbers.plain),
)
_GATES = {"gate": False, "value": True, "beside its limit": False, "limit": True, "passed": False}
_MARK = {"accepted": "✓", "rejected": "✕", "failed": "!", "canceled": "■"}


def verdict(result: Result, model: str, warnings: Sequence[str]) -> Markup:
    """The verdict on ``model``, its reason, and the remedy."""
    return decision(str(result.verdict), result.code, result.message, model, warnings)


def decision(decided: str, code: str, message: str, title: str, warnings: Sequence[str] = ()) -> Markup:
    """The end of a job, its reason, and the remedy.

    Args:
        decided: accepted, rejected, failed or canceled.
        code: the code of the end.
        message: the reason in a sentence.
        title: the name of the model or job.
        warnings: sentences that a reader must not miss.
    """
    pill = element("span", _MARK.get(decided, ""), " ", decided, class_="pill")
    told = "" if code == decided else element("code", code)
    parts = [
        element("p", pill, " ", told, class_="decided"),
        element("h1", title),
        element("p", message, class_="sentence"),
    ]
    if decided != "accepted" and (to_do := remedy_for(code, message)):
        parts.append(element("p", element("b", "To do: "), to_do))
    parts += [element("p", element("b", "Warning: "), one, class_="warning") for one in warnings]
    return element("header", *parts, class_=f"verdict {decided}" if decided in _MARK else "verdict")


def figures(reference: MeasuredModel, target: MeasuredModel) -> Markup:
    """The four main figures; unknown ones are left out."""
    tiles = []
    if (time := target.ratio_p50) is not None:
        bound = target.ratio_p50_upper
        note = (
            "" if bound is None else f"at most {numbers.ratio(bound)} ({numbers.confidence(target.ratio_confidence)})"
        )
        tiles.append(_tile(numbers.ratio(time), "of float's time", note, time))
    if (after := target.disk_bytes) and (before := reference.size_bytes):
        note = f"{numbers.size(after)}, its optimised form included" if target.form_bytes else numbers.size(after)
        tiles.append(_tile(numbers.ratio(after / before), "of float's size", note, after / before))
    if (agreement := target.agreement) is not None:
        bound = target.agreement_lower
        sure = numbers.confidence(target.confidence)
        note = "on the search set" if bound is None else f"at least {numbers.share(bound)} ({sure})"
        tiles.append(_tile(numbers.share(agreement), "agreement with float", note, agreement))
    if (accuracy := target.accuracy) is not None:
        note = f"float {numbers.known(numbers.share, reference.accuracy)}"
        tiles.append(_tile(numbers.share(accuracy), "accuracy", note, accuracy))
    elif (sqnr := target.sqnr_db) is not None:
        cosine = numbers.known(numbers.plain, target.cosine)
        tiles.append(_tile(numbers.decibel(sqnr), "signal to error (SQNR)", f"cosine {cosine}", None))
    return element("div", *tiles, class_="figures") if tiles else Markup()


def comparison(result: Result, reference: MeasuredModel, target: MeasuredModel) -> Markup:
    """Two cards: the numbers of float, and those of int8 with the ones that only a comparison gives."""
    rows = [row for row in _ROWS if any(getattr(model, row[0]) is not None for model in (reference, target))]
    if not rows:
        return Markup()
    of_float = [row for row in rows if getattr(reference, row[0]) is not None]
    cards = [_card("float", candidate.served(reference), reference, of_float)]
    if result.judged is not None:
        made = f"{candidate.label(target)}; {candidate.served(target)}" if target.method else ""
        cards.append(_card(_judged(result, target), made, target, rows))
    if (fp16 := result.fp16) is not None:
        told = [row for row in (("ratio_p50", numbers.ratio), *_ROWS) if getattr(fp16, row[0]) is not None]
        cards.append(_card("fp16, on the search set", f"not judged; {candidate.served(fp16)}", fp16, told))
    if (usual := result.usual) is not None:
        told = [row for row in _ROWS if getattr(usual, row[0]) is not None]
        cards.append(_card("float as usual", "as an application loads it without giving memory back", usual, told))
    kept = ", ".join(target.float_layers)
    listed = element("p", element("b", "Left float: "), kept, class_="note") if kept else ""
    unmet = (result.fp16.message if result.fp16 is not None else None) or ""
    refused = element("p", element("b", "fp16 would be refused by the search set: "), unmet, class_="note")
    title = f"Float and {precision(target.method)}"
    return _section(title, element("div", *cards, class_="pair"), listed, refused if unmet else "")


def _judged(result: Result, target: MeasuredModel) -> str:
    name = precision(target.method)
    if result.chosen is not None:
        return name
    return f"{name}, so far" if result.verdict is None else f"{name}, not accepted"


def gates(target: MeasuredModel) -> Markup:
    """Each gate's value against its limit."""
    if not target.gates:
        return Markup()
    return _section("Gates", table(_GATES, [_gate(one, target.method) for one in target.gates], "gates", "Gates"))


def table(columns: Mapping[str, bool], rows: list[Markup], name: str, label: str = "") -> Markup:
    """A table that scrolls by itself on a narrow page, also by keyboard.

    Args:
        columns: the name of each column, and whether it holds numbers.
        rows: the table's ``tr`` elements.
        name: the table's class.
        label: the content for screen readers; empty: the names of its columns.
    """
    head = [element("th", one, scope="col", class_="n" if number else None) for one, number in columns.items()]
    body = element("table", element("thead", element("tr", *head)), element("tbody", *rows), class_=name)
    label = label or f"Table of {', '.join(filter(None, columns))}"
    return element("div", body, class_="scroll", tabindex=0, role="region", aria_label=label)


def _gate(one: GateResult, method: str) -> Markup:
    name, limit, value, passed = one.name, one.limit, one.value, one.passed
    shown, held = gate_numbers(name, value, limit, numbers.UNKNOWN)
    least = "at least " if name.startswith("min_") else "at most "
    where = element("span", " on the labelled set") if one.on == "eval" else Markup()
    meaning = element("small", worded(GATES.get(name, ""), method), where)
    margin = element("small", f" ({100 * one.margin:g} % margin)") if one.margin else Markup()
    bar = Markup() if value is None or limit is None else _bullet(value, limit, passed=passed)
    return element(
        "tr",
        element("th", one.title, meaning, scope="row"),
        element("td", shown, class_="n"),
        element("td", bar, class_="bullet"),
        element("td", held if limit is None else least + held, margin, class_="n"),
        element("td", element("span", "pass" if passed else "FAIL", class_="ok" if passed else "bad")),
    )


def _bullet(value: float, limit: float, *, passed: bool) -> Markup:
    """A bar as long as the value, with a mark at the limit."""
    scale = 1.15 * max(abs(value), abs(limit)) or 1.0
    long, at = (100 * max(one, 0.0) / scale for one in (value, limit))
    return element(
        "svg",
        element("rect", x=0, y=4, width=100, height=6, rx=2, class_="track"),
        element("rect", x=0, y=4, width=f"{long:.1f}", height=6, rx=2, class_="filled" if passed else "missed"),
        element("rect", x=f"{at - 0.6:.1f}", y=0, width=1.2, height=14, class_="limit"),
        viewBox="0 0 100 14",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _card(title: str, made: str, model: MeasuredModel, rows: Sequence[_Row]) -> Markup:
    listed = [
        element("div", element("dt", TITLES[key]), element("dd", numbers.known(form, getattr(model, key))))
        for key, form in rows
    ]
    return element("article", element("h3", title), element("p", made, class_="note"), element("dl", *listed))


def _tile(value: str, what: str, note: str, filled: float | None) -> Markup:
    bar = Markup() if filled is None else meter(filled)
    return element("div", element("strong", value), element("span", what), bar, element("small", note), class_="tile")


def _section(title: str, *children: str) -> Markup:
    return element("section", element("h2", title), join(*children))
