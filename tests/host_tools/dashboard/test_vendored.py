"""The files of others are the ones that were looked at, and the files that a page names exist."""

import re
from hashlib import sha256

from host_tools.dashboard.static_files import FOLDER

VENDOR = FOLDER / "vendor"


def test_every_file_of_others_has_its_digest() -> None:
    listed = dict(reversed(line.split()) for line in (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines())

    assert {path.name for path in VENDOR.iterdir()} - {"README.md", "SHA256SUMS"} == set(listed)
    for name, digest in listed.items():
        assert sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_nothing_that_a_page_loads_names_another_host() -> None:
    for path in (*FOLDER.glob("*.*"), *VENDOR.glob("*.css")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\((?!\"/static/)", text), path.name
