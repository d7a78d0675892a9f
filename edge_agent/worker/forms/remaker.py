"""Rebuilds the optimised form of a release after the runtime or the processor has changed.

    python -m edge_agent.worker.forms.remaker RELEASE FOLDER

Opens the model file of the folder RELEASE, writes the form into FOLDER, and compares both on random windows. The
outputs must be equal bit for bit. Exit 0: they are; 1: there is no form, with the reason on standard output; 71: out of
memory. A crash of the runtime ends the process. :mod:`edge_agent.execution.launcher` is the other side.
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_agent.backends import FORMATS, Array, Feeds, TensorSpec, load
from edge_agent.device.optimized_form import most_form_bytes
from edge_agent.errors import ContractError, EdgeAgentError, ModelError
from edge_agent.process.confinement import confine_opener
from edge_agent.process.program import EXIT_OUT_OF_MEMORY
from edge_agent.process.sandbox import limit_files
from edge_agent.serving.loaded import Loaded
from edge_agent.state.release import intact_model, read_release
from edge_agent.wire.manifest import InputContract
from edge_agent.worker.forms.equality import update
from edge_agent.worker.forms.written import why_not_written

EXIT_REFUSED = 1
_WINDOWS = 8
_LENGTH = 64
"""Samples of a window whose size the manifest does not say."""


def main(arguments: Sequence[str]) -> int:
    """Make the form that ``arguments`` name; returns the exit code."""
    release, folder = map(Path, arguments)
    confine_opener(write=[folder], read=[release])
    try:
        limit_files(most_form_bytes(read_release(release).size_bytes))
        remake(release, folder)
    except EdgeAgentError as error:
        print(error.message, flush=True)
        return EXIT_REFUSED
    except MemoryError:
        return EXIT_OUT_OF_MEMORY
    return 0


def remake(folder: Path, out: Path) -> None:
    """Write the form of the release in ``folder`` into ``out``.

    Raises:
        StoreError: the release cannot be read.
        ModelError: the runtime is missing or refuses the model, no form can be saved, or its outputs differ.
    """
    release = read_release(folder)
    backend = load(FORMATS[Path(release.file).suffix])
    model, most_bytes = intact_model(folder, release), most_form_bytes(release.size_bytes)
    try:
        form = backend.optimize(model, out, runtime=release.runtime, threads=release.threads)
    except ModelError as error:
        raise ModelError(error.code, why_not_written(out, most_bytes) or error.message) from None
    if form is None:
        raise ModelError("model_unsupported", f"{release.runtime} saves no optimised form")
    loaded = Loaded(folder)
    session = backend.open(form, runtime=release.runtime, threads=release.threads)
    before, after = hashlib.sha256(), hashlib.sha256()
    try:
        for feeds in made_up(loaded):
            full, outputs = loaded.run(feeds)  # with the state that it carries
            update(before, outputs)
            update(after, session.run(full))
    except (ModelError, ContractError, TypeError) as error:  # TypeError: elements that numpy has no name for
        why = error.message if isinstance(error, EdgeAgentError) else str(error)
        text = f"its answers could not be compared with the model file's ({why}); push the model again for a new one"
        raise ModelError("model_unsupported", text) from None
    if before.digest() != after.digest():
        raise ModelError("model_unsupported", "its outputs for random windows differ from the model file's")


def made_up(loaded: Loaded) -> Iterator[Feeds]:
    """Random feeds from a fixed seed: raw windows that the manifest describes, else values for the model's inputs.

    A manifest that leaves the channels to the source does not describe a window.
    """
    random = np.random.default_rng(0)
    for _ in range(_WINDOWS):
        try:
            yield loaded.feeds({name: _window(contract, random) for name, contract in loaded.inputs.items()})
        except ContractError:
            yield {spec.name: _values(spec, random) for spec in loaded.session.inputs}


def _values(spec: TensorSpec, random: np.random.Generator) -> Array:
    """Random values. Integers are 0 or 1, as they may index a table. Raises ``TypeError`` for types numpy lacks."""
    dtype = np.dtype(spec.dtype)
    return ((100 if dtype.kind == "f" else 2) * random.random([size or 1 for size in spec.shape])).astype(dtype)


def _window(contract: InputContract, random: np.random.Generator) -> Array:
    size = contract.window.size if contract.window else _LENGTH
    shape = contract.shape(size, len(contract.channels) or 1)
    if contract.frame:
        return random.integers(0, 256, shape, np.uint8)
    return random.normal(size=shape).astype(np.float32)


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    if "coverage" in sys.modules:  # it writes down what it has seen when the interpreter ends
        sys.exit(exit_code)
    os._exit(exit_code)
