"""Where an optimised form lies beside its model file, and which of the two is served.

The form of ``chosen.onnx`` is ``chosen-form/optimized.onnx``, with ``optimized.onnx.data`` where it has large weights.
"""

import shutil
from pathlib import Path

from edge_agent.device.optimized_form import FORM_FILES, OPTIMIZED_FILE
from edge_agent.jobs.task import FLOAT_FORM
from edge_agent.state.model_file import sha256_of


def form_folder_of(model: Path) -> Path:
    """The folder of a model file's form."""
    return model.with_name(f"{model.stem}-form")


def served_file(model: Path) -> Path:
    """What is served of a candidate: its form, if it has one, else the model file."""
    form = form_folder_of(model) / OPTIMIZED_FILE
    return form if form.is_file() else model


def served_float(model: Path, folder: Path) -> Path:
    """What is served of the float file ``model``: its form, if the quantize stage has left one in ``folder``."""
    form = folder / FLOAT_FORM / OPTIMIZED_FILE
    return form if form.is_file() else model


def form_bytes(folder: Path) -> int:
    """What the form in ``folder`` takes on the disk; 0: there is none."""
    return sum(path.stat().st_size for path in _files(folder))


def form_sha256(folder: Path) -> dict[str, str]:
    """File → SHA-256, of the form in ``folder``; empty: there is none."""
    return {path.name: sha256_of(path) for path in _files(folder)}


def copy_form(model: Path, target: Path) -> None:
    """Copy the form of ``model``, if it has one, beside its copy ``target``."""
    if served_file(model) == model:
        return
    folder = form_folder_of(target)
    folder.mkdir()
    for path in _files(form_folder_of(model)):
        shutil.copyfile(path, folder / path.name)  # and no more: a confined process may not set modes and times


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in FORM_FILES if (folder / name).is_file()]
