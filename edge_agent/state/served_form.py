"""The optimised form in a release's folder: description, verification and replacement.

    releases/3-967d8f006cb0ab14/
      release.json               names the folder, and the hash of each file in it
      served-1f0c9a3e/           optimized.onnx, optimized.onnx.data

A form fits one version of a runtime on one processor. The release is complete without it: the model file is served
where the form does not fit, is damaged or missing. Only this device's own worker makes one.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from edge_agent.foreign.copying import hash_file
from edge_agent.foreign.opening import open_file
from edge_agent.foreign.removal import remove_quietly
from edge_agent.state.durable import publish_dir
from edge_agent.state.model_file import ModelFile

_PREFIX = "served-"


class ServedForm(msgspec.Struct, frozen=True, kw_only=True):
    """An optimised form, served in place of the model file if ``key`` matches the serving process."""

    folder: str
    """Name of the form's folder inside the release's folder."""
    files: Mapping[str, str]
    """File → its SHA-256."""
    size_bytes: int
    """Total size of the files."""
    key: str
    """See :func:`edge_agent.device.optimized_form.form_key`."""

    def __post_init__(self) -> None:
        for name in (self.folder, *self.files):
            if "/" in name or name in ("", ".", ".."):
                raise ValueError(f"{name[:80]!r} is not a valid file or folder name")
        if not self.folder.startswith(_PREFIX):
            raise ValueError(f"{self.folder[:80]!r} is not the name of an optimised form's folder")


def damage_of(folder: Path, form: ServedForm) -> str:
    """The fault of the form in a release's ``folder``; empty: every file matches its hash."""
    for name, sha256 in form.files.items():
        try:
            descriptor = open_file(folder, form.folder, name)
            try:
                found = hash_file(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
        if found.sha256 != sha256:
            return f"{name} no longer has its hash"
    return ""


def copy_form(files: Sequence[ModelFile], folder: Path) -> None:
    """Copy a worker's files into the new ``folder``, readable for applications.

    Raises:
        StoreError: ``release_corrupt``: a file has changed.
        OSError: ``folder`` exists, or a file cannot be written.
    """
    folder.mkdir()
    folder.chmod(0o755)
    for file in files:
        target = folder / file.path.name
        file.copy(target)
        target.chmod(0o644)


def put_form(files: Sequence[ModelFile], folder: Path, form: ServedForm) -> None:
    """Copy a form into the release's ``folder``; it gets its name when it is complete. Raises as above."""
    final = folder / form.folder
    temporary = final.with_name(f"{form.folder}.tmp")
    remove_quietly(temporary)
    try:
        copy_form(files, temporary)
        publish_dir(temporary, final)
    except Exception:
        remove_quietly(temporary)
        raise


def remove_others(folder: Path, form: ServedForm | None) -> None:
    """Remove all other forms from a release's folder, whole or half copied."""
    for path in folder.glob(f"{_PREFIX}*"):
        if form is None or path.name != form.folder:
            remove_quietly(path)
