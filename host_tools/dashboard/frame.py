"""The frame around every page. A page is complete without JavaScript, which only keeps it up to date."""

from starlette.responses import HTMLResponse

from edge_agent import __version__
from edge_agent.report.html.markup import Markup, element, join
from edge_agent.report.html.style import SHEETS
from host_tools.dashboard.access.viewer import Viewer
from host_tools.dashboard.live.watching import BrokerState
from host_tools.dashboard.static_files import address
from host_tools.dashboard.widgets.moment import moment

_PAGES = {"/": "Fleet", "/events": "Events", "/orders": "Orders", "/push": "Push"}
_FIRST = "htmx.min.js"
_SCRIPTS = ("hx-sse.min.js", "app.js")
_HTMX = (
    '{"includeIndicatorCSS":false,"defaultTimeout":20000,"history":false,"morphIgnore":["data-htmx-powered","open"]}'
)
"""htmx adds no style of its own, and sections that a person has opened stay open."""


_SIGN = element(
    "svg",
    element("rect", width=32, height=32, rx=7, fill="#0b6bcb"),
    element("path", d="M8 22V10h16v4H13v2h9v4h-9v2h11", fill="#fff"),
    viewBox="0 0 32 32",
    aria_hidden="true",
)
"""The same drawing as ``icon.svg``, which a style sheet could not reference by its digest."""


def page(
    title: str,
    *body: str,
    viewer: Viewer,
    broker: BrokerState,
    now: float,
    live: str = "",
    here: str = "",
    charts: bool = False,
    status: int = 200,
) -> HTMLResponse:
    """A whole page.

    Args:
        title: title of the page, before the product's name.
        body: content of its main part.
        viewer: the person who looks at it.
        broker: whether its content is up to date.
        now: seconds since the epoch.
        live: address of the stream that keeps it up to date; empty: none.
        here: the navigation's link to it.
        charts: whether it contains charts.
        status: HTTP status.
    """
    stream = (
        element("div", id="live", **{"hx-sse:connect": live, "hx-trigger": "load, shown", "hx-swap": "none"})
        if live
        else Markup()
    )
    content = element(
        "body",
        element("a", "Skip to the content", href="#content", class_="skip"),
        _header(viewer, here),
        element("div", banner(broker, now), id="broker", class_="broker", role="status"),
        element("main", *body, id="content"),
        _footer(),
        stream,
    )
    document = element("html", _head(title, charts=charts), content, lang="en")
    return HTMLResponse(f"<!doctype html>\n{document}\n", status_code=status)


def banner(broker: BrokerState, now: float) -> Markup:
    """A sentence for the time when the broker is away and values are old."""
    if broker.up:
        return Markup()
    if not broker.heard:
        return element("p", "Reading what the broker keeps …", class_="away")
    text = "The broker has been away since "
    return element("p", element("b", text), moment(broker.since, now), ". Values are from before.", class_="away")


def _head(title: str, *, charts: bool) -> Markup:
    styles = (*SHEETS, *(("uPlot.min.css",) if charts else ()), "app.css")
    scripts = ("uPlot.min.js", *_SCRIPTS) if charts else _SCRIPTS
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="htmx-config", content=_HTMX),
        element("title", f"{title} · edge-agent"),
        *(element("link", rel="stylesheet", href=address(name)) for name in styles),
        element("link", rel="icon", href=address("icon.svg")),
        # Not deferred: it starts when the page is complete, otherwise perhaps before its extension is loaded.
        element("script", src=address(_FIRST)),
        *(element("script", src=address(name), defer="") for name in scripts),
    )


def _header(viewer: Viewer, here: str) -> Markup:
    links = [
        element("a", name, href=where, aria_current="page" if where == here else None) for where, name in _PAGES.items()
    ]
    who = element("a", viewer.name, href="/login", class_="viewer") if viewer.name else ""
    return element(
        "header",
        element("a", _SIGN, "edge-agent", href="/", class_="brand"),
        element("nav", *links, aria_label="Pages"),
        join(who),
        class_="top",
    )


def _footer() -> Markup:
    return element("footer", f"edge-agent {__version__}", class_="foot")
