"""Where an optimised form lies beside its model file, and which of the two is served.

The form of ``chosen.onnx`` is ``chosen-form/optimized.onnx``, with ``optimized.onnx.data`` where it has large weights,
and ``key``, which tells the runtime and the processor that it was made for. Between two stages of a job the runtime may
be upgraded; the form is then no more opened than that of a release would be.
"""

import shutil
from pathlib import Path

from edge_agent.backends import Backend
from edge_agent.device.optimized_form import FORM_FILES, OPTIMIZED_FILE, form_key
from edge_agent.foreign.removal import remove_quietly
from edge_agent.jobs.task import FLOAT_FORM
from edge_agent.state.model_file import sha256_of

_KEY_FILE = "key"


def key_here(backend: Backend, runtime: str) -> str:
    """What a form for ``runtime`` has to be made for to be opened here."""
    return form_key(runtime, backend.runtime_version(runtime))


def seal_form(folder: Path, key: str) -> None:
    """Mark the form in ``folder`` as complete, and as made for ``key``."""
    (folder / _KEY_FILE).write_text(key)


def form_folder_of(model: Path) -> Path:
    """The folder of a model file's form."""
    return model.with_name(f"{model.stem}-form")


def served_file(model: Path, key: str) -> Path:
    """What is served of a candidate: its form, if it has one for ``key``, else the model file."""
    return _served(model, form_folder_of(model), key)


def served_float(model: Path, folder: Path, key: str) -> Path:
    """What is served of the float file ``model``: the form for ``key`` that the quantize stage left in ``folder``."""
    return _served(model, folder / FLOAT_FORM, key)


def form_bytes(folder: Path) -> int:
    """Size on disk of the form in ``folder``, finished or not; 0: there is none."""
    return sum(path.stat().st_size for path in _files(folder))


def form_sha256(folder: Path) -> dict[str, str]:
    """File → SHA-256, of the form in ``folder``; empty: there is none, or nobody has marked it as complete."""
    return {path.name: sha256_of(path) for path in _files(folder)} if (folder / _KEY_FILE).is_file() else {}


def copy_form(model: Path, target: Path) -> bool:
    """Copy the form of ``model``, if it has one, beside its copy ``target``; False: the disk does not take it."""
    source, folder = form_folder_of(model), form_folder_of(target)
    if not (source / _KEY_FILE).is_file():
        return True
    try:
        folder.mkdir()
        for path in (*_files(source), source / _KEY_FILE):
            shutil.copyfile(path, folder / path.name)  # and no more: a confined process may not set modes and times
    except OSError:
        remove_quietly(folder)
        return False
    return True


def _served(model: Path, folder: Path, key: str) -> Path:
    try:
        fits = (folder / _KEY_FILE).read_text() == key
    except FileNotFoundError:
        fits = False
    return folder / OPTIMIZED_FILE if fits else model


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in FORM_FILES if (folder / name).is_file()]
