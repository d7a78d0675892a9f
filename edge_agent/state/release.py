"""One release: its description, and its files while they are what they were.

A release is a folder (:mod:`edge_agent.state.releases`). Its ``release.json`` is this module's :class:`Release`. Files
are foreign to a reader: they are opened without following links, and count only while they match their hashes.
"""

import errno
import logging
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.errors import StoreError, WireError
from edge_agent.foreign.copying import hash_file
from edge_agent.foreign.decoding import decode
from edge_agent.foreign.opening import open_file, read_file
from edge_agent.state.served_form import ServedForm
from edge_agent.strict import UNDECODABLE, why
from edge_agent.wire.digests import content_digest

log = logging.getLogger(__name__)

RELEASE_FILE, MANIFEST_FILE, REPORT_FILE = "release.json", "manifest.json", "report.json"
PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Temporary lack of descriptors or memory: the file itself may be intact."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a release and the evidence that justified it."""

    model: str
    version: int
    job: str
    digest: str
    """Content digest of the manifest."""
    blob: str
    """SHA-256 of the float model that it was made from."""
    eval: str = ""
    """SHA-256 of the labelled set that it was judged with; empty: none."""
    file: str
    sha256: str
    """SHA-256 of ``file``."""
    size_bytes: int
    verdict: str
    """``accepted``; or ``rejected`` for a float model that ``on_rejected = "float"`` activated."""
    method: str
    runtime: str
    runtime_version: str
    threads: int
    arch: str
    contract: str
    """SHA-256 of the input contract."""
    agent_version: str
    activated: str
    """RFC 3339 UTC."""
    heldout: Mapping[str, Any] = {}
    output_found: Mapping[str, Any] = {}
    """``[output]`` with every value that the verdict used; empty in a release of a version that did not store it."""
    served: ServedForm | None = None
    """The optimised form that serves in place of ``file``, or None."""
    previous: str = ""
    """The previously active release; empty: none."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return f"{self.version}-{self.job}"

    def __post_init__(self) -> None:
        for name in (self.file, self.name, self.previous):
            if "/" in name or name in (".", ".."):
                raise ValueError(f"{name[:80]!r} is not a valid file or folder name")


def read_release(folder: Path) -> Release:
    """Read ``release.json`` of a release's folder; raises ``StoreError`` (release_corrupt, state_unreadable).

    A later version may describe an optimised form in another way. The release is whole without it.
    """
    path = folder / RELEASE_FILE
    try:
        content = read_file(folder, RELEASE_FILE)
        try:
            return decode(content, Release)
        except msgspec.ValidationError as error:
            release = _without_form(content)
            if release is None:
                raise
            _log_form(path, why(error))
            return release
    except (OSError, *UNDECODABLE) as error:
        raise unusable(path, error) from None


def _without_form(content: bytes) -> Release | None:
    """The release of a ``release.json``, less its form; None: the form is not what is wrong with it."""
    said = decode(content, dict[str, Any])
    return decode(msgspec.json.encode(said), Release) if said.pop("served", None) is not None else None


@lru_cache(maxsize=64)
def _log_form(path: Path, problem: str) -> None:
    """Log a problem once, however often the release is read."""
    log.warning("%s: its optimised form is not understood (%s); the model file answers", path, problem)


def intact_model(folder: Path, release: Release) -> Path:
    """The model file of a release.

    Raises:
        StoreError: ``release_corrupt`` if its hash differs, ``state_unreadable`` if it cannot be read now.
    """
    path = folder / release.file
    try:
        descriptor = open_file(folder, release.file)
        try:
            found = hash_file(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unusable(path, error) from None
    if found.sha256 != release.sha256:
        raise StoreError("release_corrupt", f"{path} no longer has its hash; check the SD card")
    return path


def intact_manifest(folder: Path, release: Release) -> bytes:
    """The manifest that a release was made from; raises ``StoreError`` (release_corrupt) if it has changed."""
    path = folder / MANIFEST_FILE
    try:
        content = read_file(folder, MANIFEST_FILE)
        digest = content_digest(content)
    except (OSError, WireError) as error:
        raise StoreError("release_corrupt", f"{path} cannot be read ({why(error)}); push the model again") from None
    if digest != release.digest:
        raise StoreError("release_corrupt", f"{path} is not the manifest of this release; check the SD card")
    return content


def unusable(path: Path, error: Exception) -> StoreError:
    """The error for an unreadable or invalid file. A lack of descriptors or memory does not mean corruption."""
    if isinstance(error, OSError) and error.errno in PASSING:
        return StoreError("state_unreadable", f"{path}: {error.strerror}; nothing was changed")
    return StoreError("release_corrupt", f"{path} cannot be read ({why(error)}); push the model again")
