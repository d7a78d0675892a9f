"""Who looks at a page."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "operator"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever sent a request; ``request.state.viewer``."""

    name: str
    role: Role


LOCAL = Viewer("local", "operator")
"""Who has no login, as everybody on this machine where the dashboard listens on loopback only."""
