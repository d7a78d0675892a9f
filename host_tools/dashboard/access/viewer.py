"""The person at a browser, and the permissions of that person. Pure."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Role = Literal["viewer", "operator"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person at a browser; an empty ``name``: nobody has logged in, and no login is needed."""

    name: str
    role: Role

    @property
    def commands(self) -> bool:
        """Whether this person's orders are sent to devices."""
        return self.role == "operator"

    @property
    def shown(self) -> str:
        """The name in logs."""
        return self.name or "local"


NOBODY: Final = Viewer("", "viewer")
"""A person without a login where one is needed, who sees the login page only."""
