"""How full something is, as a bar. Inline SVG: a length is an attribute there, which a page's policy permits."""

import math

from edge_agent.report.html.markup import Markup, element

_WIDTH = 100.0


def meter(share: float) -> Markup:
    """A bar that is filled from 0 to 1; beyond that it is empty or full, and of NaN it is empty."""
    filled = 0.0 if math.isnan(share) else _WIDTH * min(max(share, 0.0), 1.0)
    return element(
        "svg",
        element("rect", width=100, height=5, class_="track"),
        element("rect", width=f"{filled:.1f}", height=5, class_="filled"),
        viewBox="0 0 100 5",
        preserveAspectRatio="none",
        aria_hidden="true",
        class_="meter",
    )
