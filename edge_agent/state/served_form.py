"""The optimised form in a release's folder: what it is, whether it is sound, and how a new one takes its place.

    releases/3-967d8f006cb0ab14/
      release.json               names the folder, and the hash of each file in it
      served-1f0c9a3e/           optimized.onnx, optimized.onnx.data

A form serves one version of a runtime on one processor, and the release is whole without it: the model file answers
where the form does not fit, is damaged, or is not there. Only this device's own worker makes one.
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
    """What is served in place of a release's model file, where ``key`` is that of the process that serves."""

    folder: str
    """In the release's folder."""
    files: Mapping[str, str]
    """File → its SHA-256."""
    size_bytes: int
    """Of all of them."""
    key: str
    """See :func:`edge_agent.device.optimized_form.form_key`."""

    def __post_init__(self) -> None:
        for name in (self.folder, *self.files):
            if "/" in name or name in ("", ".", ".."):
                raise ValueError(f"{name[:80]!r} is no name of a file or folder")
        if not self.folder.startswith(_PREFIX):
            raise ValueError(f"{self.folder[:80]!r} is no folder of an optimised form")


def damage_of(folder: Path, form: ServedForm) -> str:
    """What is wrong with the form of the release in ``folder``; empty: each file has its hash."""
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
    """Copy what a worker has left into ``folder``, which must not be there, for applications to read.

    Raises:
        StoreError: ``release_corrupt``: a file is not what it was.
        OSError: the disk does not take it.
    """
    folder.mkdir()
    folder.chmod(0o755)
    for file in files:
        target = folder / file.path.name
        file.copy(target)
        target.chmod(0o644)


def put_form(files: Sequence[ModelFile], folder: Path, form: ServedForm) -> None:
    """Put a form into the release's ``folder``, complete and on the disk before it has its name; raises as above."""
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
    """Remove what is left of other forms in a release's folder, whole or half copied."""
    for path in folder.glob(f"{_PREFIX}*"):
        if form is None or path.name != form.folder:
            remove_quietly(path)
