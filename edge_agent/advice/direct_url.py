"""Where pip installed a package from, as pip writes it down: ``direct_url.json`` (PEP 610). Pure."""

import json
from typing import NamedTuple

FILE = "direct_url.json"


class Origin(NamedTuple):
    """What pip was given."""

    url: str
    editable: bool = False


def read_origin(record: str | None) -> Origin | None:
    """The origin in the text of the file; None without one: an index had the package."""
    if not record:
        return None
    source = json.loads(record)
    url: str = source["url"]
    if vcs := source.get("vcs_info"):
        return Origin(f"{vcs['vcs']}+{url}@{vcs['commit_id']}")
    return Origin(url, bool(source.get("dir_info", {}).get("editable")))
