"""Who looks at a page, and what that allows. Pure."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Role = Literal["viewer", "operator"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person at a browser; ``name`` empty: nobody has logged in, and nobody need."""

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
"""Who has not logged in where people must: the login is all that is shown."""
