"""An error and its remedy. Pure."""

from edge_agent.advice.remedy import remedy_for
from edge_agent.errors import EdgeAgentError
from edge_agent.printable import printable
from edge_agent.report.html.markup import Markup, element


def trouble(error: EdgeAgentError) -> Markup:
    """An error as a sentence with its remedy."""
    to_do = remedy_for(error.code, error.message)
    advice = element("p", element("b", "To do: "), to_do, class_="todo") if to_do else ""
    said = element("p", element("b", f"{error.code}: "), printable(error.message))
    return element("div", said, advice, class_="trouble", role="alert")
