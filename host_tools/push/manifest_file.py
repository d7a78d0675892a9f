"""The operator's manifest ``M.toml``: read strictly, joined with the model into the manifest that devices get.

An unknown key is an error that names the nearest known one. Only the device can know whether it has the source, and
whether the model has the input.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from edge_agent.errors import ConfigError, WireError
from edge_agent.settings.inputs import read_inputs
from edge_agent.settings.recipe import read_recipe
from edge_agent.strict import did_you_mean, read_toml, strict
from edge_agent.wire.chunks import CHUNK_BYTES, digest_pages
from edge_agent.wire.manifest import MAX_VERSION, Blob, Gates, InputContract, Manifest, Output
from edge_agent.wire.topics import check_name

_KEYS = ("name", "version", "input", "inputs", "output", "outputs", "recipe", "gates", "state", "eval")
Format = Literal["onnx", "tflite"]
FORMATS: dict[str, Format] = {".onnx": "onnx", ".tflite": "tflite"}


class EvalTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[eval]``: a labelled set that is sent with the model."""

    file: str


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. ``version`` None: the next one. ``eval`` is resolved against the file's folder."""

    name: str
    version: int | None
    inputs: list[InputContract]
    output: Output
    outputs: list[Output]
    gates: Gates
    eval: Path | None
    path: Path

    @property
    def first_output(self) -> Output:
        """The output that the labels describe."""
        return self.outputs[0] if self.outputs else self.output

    @property
    def output_table(self) -> str:
        """The table of the file that holds this output."""
        return "[[outputs]] 1" if self.outputs else "[output]"


def read_manifest_file(path: Path) -> ManifestFile:
    """The checked content of an ``M.toml``. Its recipe part is checked here, and read again for the manifest.

    Raises:
        ConfigError: ``usage``; names the file, the table and the nearest known key.
        RecipeError: ``recipe_unsupported``: a step, option or value that no device knows.
        ContractError: ``shape_mismatch``: the steps do not fit the window or each other.
    """
    tables = read_toml(path)
    for key in tables:
        if key not in _KEYS:
            raise ConfigError("usage", f"{path}: unknown key {key!r}{did_you_mean(key, _KEYS)}")
    recipe = read_recipe(path)
    name, version = tables.get("name"), tables.get("version")
    if not isinstance(name, str):
        raise ConfigError("usage", f'{path}: name is missing; give the model a name such as name = "har"')
    try:
        check_name(name, "name")
    except WireError as error:
        raise ConfigError("usage", f"{path}: {error.message}") from None
    if version is not None and (
        not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= MAX_VERSION
    ):
        raise ConfigError(
            "usage",
            f"{path}: version must be a whole number from 1 to {MAX_VERSION}; leave it out for the next one",
        )
    return ManifestFile(
        name=name, version=version, inputs=read_inputs(path, tables), output=recipe.output,
        outputs=recipe.outputs, gates=recipe.gates, eval=_eval(path, tables), path=path,
    )  # fmt: skip


def read_blob(path: Path) -> Blob:
    """A file's content address: hash, size and the hash of each page of chunk digests, read in one pass.

    Raises:
        ConfigError: ``usage``: the file is missing or empty.
    """
    whole = hashlib.sha256()
    try:
        with path.open("rb") as file:

            def chunks() -> Iterator[bytes]:
                while chunk := file.read(CHUNK_BYTES):
                    whole.update(chunk)
                    yield chunk

            pages = digest_pages(chunks())
            size = file.tell()
    except OSError as error:
        raise ConfigError("usage", f"{path}: {error.strerror}") from None
    if not size:
        raise ConfigError("usage", f"{path} is empty")
    return Blob(whole.hexdigest(), size, [hashlib.sha256(page).hexdigest() for page in pages])


def model_format(path: Path) -> Format:
    """The format by the suffix of a model file; raises ``ConfigError`` (usage) for any other suffix."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError("usage", f"{path}: a model is a file named *.onnx or *.tflite; give one")
    return FORMATS[path.suffix.lower()]


def build_manifest(
    file: ManifestFile,
    *,
    namespace: str,
    version: int,
    model: tuple[Format, Blob],
    evaluation: Blob | None,
    targets: list[str],
    created: str,
    expires: str,
) -> Manifest:
    """The document for one version of the model; ``model`` is its format and its blob."""
    recipe = read_recipe(file.path)
    return Manifest(
        namespace=namespace,
        name=file.name,
        version=version,
        format=model[0],
        blob=model[1],
        inputs=file.inputs,
        output=recipe.output,
        outputs=recipe.outputs,
        recipe=recipe.recipe,
        gates=recipe.gates,
        state=recipe.state,
        eval=evaluation,
        targets=targets,
        created=created,
        expires=expires,
    )


def _eval(path: Path, tables: dict[str, Any]) -> Path | None:
    table = tables.get("eval")
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigError("usage", f"{path}: eval must be a table; write [eval]")
    return path.parent / strict(table, EvalTable, f"{path}: [eval]").file
