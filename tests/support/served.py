"""Releases as the agent makes them, of models whose answers can be worked out by hand.

A maker writes the same few models in one format; whoever tests what holds for every format goes through all makers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnx import helper

from edge_agent import backends
from edge_agent.daemon.activation.release_steps import make_release, served_form
from edge_agent.device.optimized_form import form_folder
from edge_agent.jobs.data_summary import Data
from edge_agent.jobs.job import Job
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.state.model_file import ModelFile
from edge_agent.state.release import RELEASE_FILE, Release
from edge_agent.state.releases import Releases
from edge_agent.state.store import Store
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.manifest import InputContract, Manifest, Output, State, Window, encode_manifest
from host_tools.push.manifest_file import read_blob
from support import onnx_models, tflite_models
from support.tflite_models import Net

Floats = NDArray[np.float32]


class Maker(Protocol):
    """Writes models of one format."""

    @property
    def format(self) -> str: ...

    @property
    def runtime(self) -> str: ...

    @property
    def module(self) -> str:
        """What a program imports that uses this runtime and nothing else."""
        ...

    def product(self, path: Path, weights: Floats) -> Path:
        """``x`` [1, n] → ``y`` = x @ weights."""
        ...

    def pair(self, path: Path, left: Floats, right: Floats) -> Path:
        """``a`` [1, n], ``b`` [1, m] → ``first`` = a @ left, ``both`` = a @ left + b @ right."""
        ...

    def running_sum(self, path: Path, weights: Floats) -> Path:
        """``x`` [1, n], ``h`` → ``y`` = 2 hN, ``hN`` = h + x @ weights."""
        ...


class OnnxMaker:
    """ONNX models for onnxruntime."""

    format = "onnx"
    runtime = "onnxruntime"
    module = "onnxruntime"

    def product(self, path: Path, weights: Floats) -> Path:
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
        return _save(path, nodes, {"x": len(weights)}, {"y": weights.shape[1]}, w=weights)

    def pair(self, path: Path, left: Floats, right: Floats) -> Path:
        nodes = [
            helper.make_node("MatMul", ["a", "left"], ["first"]),
            helper.make_node("MatMul", ["b", "right"], ["second"]),
            helper.make_node("Add", ["first", "second"], ["both"]),
        ]
        size = left.shape[1]
        ends = {"a": len(left), "b": len(right)}, {"first": size, "both": size}
        return _save(path, nodes, *ends, left=left, right=right)

    def running_sum(self, path: Path, weights: Floats) -> Path:
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["step"]),
            helper.make_node("Add", ["h", "step"], ["hN"]),
            helper.make_node("Add", ["hN", "hN"], ["y"]),
        ]
        size = weights.shape[1]
        return _save(path, nodes, {"x": len(weights), "h": size}, {"y": size, "hN": size}, w=weights)


@dataclass(frozen=True)
class TfliteMaker:
    """TensorFlow Lite models for one of the runtimes."""

    runtime: str
    module: str
    format = "tflite"

    def product(self, path: Path, weights: Floats) -> Path:
        net = Net()
        x = net.input("x", (1, len(weights)))
        y = _times(net, x, "y", weights)
        return _packed(path, net, {"x": x}, {"y": y})

    def pair(self, path: Path, left: Floats, right: Floats) -> Path:
        net = Net()
        a, b = net.input("a", (1, len(left))), net.input("b", (1, len(right)))
        first, second = _times(net, a, "first", left), _times(net, b, "second", right)
        both = net.node("ADD", [first, second], "both", (1, left.shape[1]), "AddOptions", fusedActivationFunction=0)
        return _packed(path, net, {"a": a, "b": b}, {"first": first, "both": both})

    def running_sum(self, path: Path, weights: Floats) -> Path:
        net, shape = Net(), (1, weights.shape[1])
        x, h = net.input("x", (1, len(weights))), net.input("h", shape)
        step = _times(net, x, "step", weights)
        after = net.node("ADD", [h, step], "hN", shape, "AddOptions", fusedActivationFunction=0)
        y = net.node("ADD", [after, after], "y", shape, "AddOptions", fusedActivationFunction=0)
        return _packed(path, net, {"x": x, "h": h}, {"y": y, "hN": after})


def _times(net: Net, x: int, name: str, weights: Floats) -> int:
    """A dense layer, whose weights this format keeps transposed."""
    columns = weights.shape[1]
    kernel = net.constant(f"{name}/weights", np.ascontiguousarray(weights.T))
    bias = net.constant(f"{name}/bias", np.zeros(columns, np.float32))
    return net.dense(x, name, kernel, bias, (1, columns))


def _packed(path: Path, net: Net, inputs: dict[str, int], outputs: dict[str, int]) -> Path:
    built = net.sign(inputs, outputs).build(*outputs.values())
    return tflite_models.save(built, path.with_suffix(".tflite"))


def _save(path: Path, nodes: list[Any], inputs: dict[str, int], outputs: dict[str, int], **constants: Floats) -> Path:
    ends = [[onnx_models.value(name, [1, size]) for name, size in some.items()] for some in (inputs, outputs)]
    return onnx_models.save(onnx_models.model(nodes, *ends, constants), path.with_suffix(".onnx"))


def contract(size: int, channels: Sequence[str], *steps: dict[str, Any], **fields: Any) -> InputContract:
    """Windows of ``size`` samples that become a flat row after ``steps``."""
    flat = {"op": "reshape", "shape": [-1]}
    return InputContract(
        source="imu", channels=list(channels), window=Window(size, size), steps=[*steps, flat], **fields
    )


def put_release(
    store: Store,
    version: int,
    model: Path,
    inputs: Sequence[InputContract],
    *,
    name: str = "har",
    output: Output = Output(),  # noqa: B008  # frozen
    state: Sequence[State] = (),
    on: str = "",
    judged: Output | None = None,
    **changes: Any,
) -> Release:
    """Put a release of ``model`` on disk, as after a job.

    ``on``: the runtime that it was proved with, else the preferred one of its format; ``judged``: what its output was
    found to be; ``changes``: fields of it that
    differ from the truth.
    """
    model_format = model.suffix.removeprefix(".")
    manifest = Manifest("ea/v1", name, version, model_format, read_blob(model), list(inputs), output, state=list(state))  # type: ignore[arg-type]  # the suffix is one of the formats
    content = encode_manifest(manifest)
    digest = content_digest(content)
    job = Job(id=job_id(digest), model=name, version=version, digest=digest, scope="d/pi-01", created=0.0)
    backend = backends.load(model_format)
    runtime = on or backend.RUNTIMES[0]
    chosen = MeasuredModel(runtime=runtime, runtime_version=backend.runtime_version(runtime), threads=1)
    releases = Releases(store.models, name)
    result = Result(chosen=chosen, data=Data(output_options=judged))
    file = ModelFile(model.parent, (model.name,), "", model.stat().st_size)
    made = make_release(job, manifest, file, result, previous=releases.active(), now=0.0)
    releases.prepare(made, file, content, b"{}")
    release = msgspec.structs.replace(made, **changes)
    (releases.path(made.name) / RELEASE_FILE).write_bytes(msgspec.json.encode(release))
    return release


def give_form(store: Store, release: Release, scratch: Path, *, key: str = "") -> Release:
    """Give a release on disk its optimised form as this device makes it; ``key``: another one than is true."""
    releases = Releases(store.models, release.model)
    scratch.mkdir()
    backend = backends.load("onnx")
    backend.optimize(releases.path(release.name) / release.file, scratch)
    files = [ModelFile(scratch, (path.name,), "", path.stat().st_size) for path in sorted(scratch.iterdir())]
    form = served_form(files, release.runtime, backend.runtime_version())
    assert form is not None
    if key:
        form = msgspec.structs.replace(form, key=key, folder=form_folder(key))
    formed = msgspec.structs.replace(release, served=form)
    releases.renew_form(formed, files)
    return formed


def activate(store: Store, version: int, model: Path, inputs: Sequence[InputContract], **fields: Any) -> Release:
    """Put a release on disk and make it the active one."""
    release = put_release(store, version, model, inputs, **fields)
    Releases(store.models, release.model).swap(release.name)
    return release
