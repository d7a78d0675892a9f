"""The origin of an installed package, as pip records it in ``direct_url.json`` (PEP 610). Pure."""

import json
from typing import NamedTuple

FILE = "direct_url.json"


class Origin(NamedTuple):
    """The URL that pip installed from."""

    url: str
    editable: bool = False


def read_origin(record: str | None) -> Origin | None:
    """Return the origin in the file's text; None without a file: the package came from an index."""
    if not record:
        return None
    source = json.loads(record)
    url: str = source["url"]
    if vcs := source.get("vcs_info"):
        return Origin(f"{vcs['vcs']}+{url}@{vcs['commit_id']}")
    return Origin(url, bool(source.get("dir_info", {}).get("editable")))
