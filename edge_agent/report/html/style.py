"""The style sheet of a page, which stands in it: a page fetches nothing."""

from pathlib import Path

from edge_agent.report.html.markup import Markup

STYLE = Markup(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))
