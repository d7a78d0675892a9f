"""The task of a worker: ``task.json`` in a job's directory. Pure; written by the daemon or by ``quantize``.

A job's directory is the whole interface between stages. Each stage reads the files of earlier ones, writes
``<stage>.tmp/`` and finally renames it to ``<stage>/``. Any stage can therefore be run again by hand:

    python -m edge_agent.worker calibrate JOB_DIR

    JOB_DIR/
      task.json             this struct
      model.onnx            the float model, as pushed (``task.model``); .tflite for that format, here and below
      eval.npz              the labelled set that was pushed with it, if there was one (``task.eval``)
      inspect/              inspected.json, outcome.json: the model's inspection, before a capture from a sensor
      capture/              sets.json and window shards, or pointers into the operator's .npz files; outcome.json
      calibrate/            prepared.onnx, ranges.json, histograms.npz, outcome.json
      quantize/             candidates.json, chosen.json, chosen.onnx, perhaps second.json, second.onnx; outcome.json;
                            chosen-form/, second-form/, float-form/ where an optimised form is served
      validate/             outcome.json; chosen.json, chosen.onnx, chosen-form/ if the second one was accepted
      benchmark/            outcome.json
      release               (daemon) link to the release that ``activate`` probes
      activate/             outcome.json

The daemon's job directories are ``state_dir/work/<job>``: workers write there, so nothing in them is trusted.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import msgspec

from edge_agent.errors import StageError
from edge_agent.strict import UNDECODABLE
from edge_agent.wire.features import as_encoded
from edge_agent.wire.manifest import FEATURES, Gates, InputContract, Output, Recipe, State

TASK_FILE = "task.json"
OUTCOME_FILE = "outcome.json"
CHOSEN_FILE = "chosen.json"
FLOAT_FORM, CHOSEN_FORM = "float-form", "chosen-form"
"""Folders of the quantize stage: optimised forms of the float model and of the chosen one, where they are served."""
INSPECTED_FILE = "inspected.json"
INSPECT = "inspect"
"""A worker step that is not a stage: it opens the model for a capture, whose own process opens a sensor."""


class Stage(StrEnum):
    """The stages of a job, in order."""

    RECEIVE = "receive"
    CAPTURE = "capture"
    CALIBRATE = "calibrate"
    QUANTIZE = "quantize"
    VALIDATE = "validate"
    BENCHMARK = "benchmark"
    ACTIVATE = "activate"


WORKER_STAGES = (Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE, Stage.VALIDATE, Stage.BENCHMARK)
"""The stages that fill the result object, in order. A worker also does ``activate``'s probe of the new release."""


class ArrayFiles(msgspec.Struct, frozen=True):
    """Data from the operator's ``.npz`` files (``edge-agent quantize``) instead of a sensor."""

    calibration: str
    heldout: str = ""


class StoredBlob(msgspec.Struct, frozen=True):
    """A received blob with its expected hash and size, which each stage verifies first."""

    path: str
    sha256: str
    size: int
    """Bytes."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a worker needs to know; no secrets, no broker."""

    job: str
    name: str
    version: int
    format: Literal["onnx", "tflite"]
    model: str
    """The float model's file name inside the job's directory."""
    inputs: list[InputContract] = []
    output: Output = Output()
    outputs: list[Output] = []
    """Several outputs, each judged by its own kind; empty: the one of ``output``."""
    recipe: Recipe = Recipe()
    gates: Gates = Gates()
    state: list[State] = []
    eval: str = ""
    """The labelled set's path, absolute or in the job's directory; empty: there is none."""
    blobs: dict[str, StoredBlob] = {}
    """File in the job's directory → the blob to copy it from; empty: the files are already there."""
    sources: dict[str, dict[str, Any]] = {}
    """The device's ``[sources.NAME]`` tables that the inputs name."""
    shared: dict[str, str] = {}
    """Sources with their own process → the folder with its socket and its stored segments."""
    arrays: ArrayFiles | None = None
    seed: int = 0
    memory_bytes: int = 0
    """Memory limit of a worker process; 0: none."""
    stage_timeout_s: int = 0
    """Time limit of a stage; 0: none."""


def encode_task(task: Task) -> bytes:
    """Encode ``task.json``; keys of gates, recipe and outputs newer than version 0.1.0 are written only if set."""
    return msgspec.json.format(msgspec.json.encode(as_encoded(task, FEATURES)), indent=2)


def read_task(job_dir: Path) -> Task:
    """The task of a job's directory; raises ``StageError`` if it cannot be read."""
    try:
        return msgspec.json.decode((job_dir / TASK_FILE).read_bytes(), type=Task)
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{job_dir / TASK_FILE}: {error}") from None


def chosen_folder(job_dir: Path) -> Path:
    """The folder of ``chosen.json`` and its model: validation's own only if the second finalist was accepted."""
    own = job_dir / Stage.VALIDATE
    return own if (own / CHOSEN_FILE).exists() else job_dir / Stage.QUANTIZE
