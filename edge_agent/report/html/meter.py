"""A share as a bar. Inline SVG: its lengths are attributes, which a page's policy permits."""

import math

from edge_agent.report.html.markup import Markup, element

_WIDTH = 100.0


def meter(share: float) -> Markup:
    """A bar that is filled from 0 to 1. Below 0 and for NaN it is empty, above 1 full."""
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
