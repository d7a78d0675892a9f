"""What the engine relies on, asked of every format there is, on every runtime that can serve it."""

import inspect
import math
import pkgutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from support import onnx_models, tflite_models
from support.tflite_rig import needs_tflite_runtime

from edge_agent import backends
from edge_agent.backends import FORMATS, Array, Backend, CandidateSpec, Feeds, Method, Range
from edge_agent.calibration.observer import Observer
from edge_agent.errors import EdgeAgentError, ModelError, StageError

MODELS: dict[str, Callable[[Path], Path]] = {
    "onnx": lambda folder: onnx_models.save(onnx_models.conv_net(), folder / "m.onnx"),
    "tflite": lambda folder: tflite_models.save(tflite_models.conv_net(), folder / "m.tflite"),
}
"""For each format a convolutional model whose only input is called ``x``. A new format brings its own."""

FOUND = sorted(module.name for module in pkgutil.iter_modules(backends.__path__) if module.ispkg)
ROWS = 48
EXACT = 1e-10
"""Noise in parts of the signal's power: float sums in another order."""
LIKE_INT8 = 0.3
"""The switches' noise may differ by this part from that of the int8 file; on x86 it was 0.04 with so many rows."""


class Subject:
    """A model of one format on one runtime, prepared and calibrated."""

    def __init__(self, backend: Backend, runtime: str, folder: Path) -> None:
        self.backend, self.runtime, self.folder = backend, runtime, folder
        self.original = MODELS[backend.SUFFIX.removeprefix(".")](folder)
        self.prepared = folder / f"prepared{backend.SUFFIX}"
        backend.prepare(self.original, self.prepared)
        shape = [size or 1 for size in backend.inspect(self.original).inputs[0].shape]
        values = np.random.default_rng(1).normal(size=(ROWS, *shape)).astype(np.float32)
        self.rows: list[Feeds] = [{"x": row} for row in values]
        self.reference = self.outputs(self.original)
        self.ranges = self._ranges()

    def _ranges(self) -> dict[str, Range]:
        tap = self.backend.tap(self.prepared, runtime=self.runtime)
        observer = Observer(tap.names)
        for row in self.rows:
            for name, value in tap.run(row):
                observer.add(name, value)
        return observer.ranges(observer.histograms, ["minmax"], symmetric=False)["minmax"]

    @property
    def static(self) -> CandidateSpec:
        """The static candidate in integers that this processor adds up exactly."""
        specs = [
            CandidateSpec("static", "minmax", types=scheme.types, per_channel=scheme.per_channel)
            for scheme in self.backend.schemes("static")
        ]
        return next(spec for spec in specs if not self.backend.saturates(spec))

    def outputs(self, path: Path) -> list[Array]:
        """The first output for each row."""
        session = self.backend.open(path, runtime=self.runtime)
        return [session.run(row)[0] for row in self.rows]

    def rewrite(self, spec: CandidateSpec) -> Path:
        path = self.folder / f"int8{self.backend.SUFFIX}"
        self.backend.rewrite(self.prepared, self.ranges, spec, path)
        return path

    def switched(self, spec: CandidateSpec, rounded: Collection[str] | None = None) -> list[Array]:
        """What the switches say with these places rounded, by default all."""
        switches = self.backend.switches(self.prepared, self.ranges, spec, runtime=self.runtime)
        places = switches.needed_by if rounded is None else rounded
        return [switches.run(row, places)[0] for row in self.rows]

    def noise(self, outputs: Iterable[NDArray[Any]]) -> float:
        """The error's power in parts of the signal's."""
        error = sum(float(np.sum((got - want) ** 2)) for got, want in zip(outputs, self.reference, strict=True))
        return error / sum(float(np.sum(want**2)) for want in self.reference)


def ways() -> list[Any]:
    """Each format with each of its runtimes that this Python can have; one that is not installed fails."""
    marks = {"tflite-runtime": [needs_tflite_runtime]}
    return [
        pytest.param((name, runtime), marks=marks.get(runtime, []), id=runtime)
        for name in FOUND
        for runtime in backends.load(name).RUNTIMES
    ]


@pytest.fixture(params=ways())
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    model_format, runtime = request.param
    return Subject(backends.load(model_format), runtime, tmp_path)


def refused(call: Callable[[], object], code: str) -> EdgeAgentError:
    with pytest.raises(EdgeAgentError) as caught:
        call()
    assert caught.value.code == code, caught.value
    return caught.value


def sound(subject: Subject, path: Path, *, float16: bool = False) -> dict[str, int] | None:
    """What is int8 in a rewritten file, or None if its runtime does not load it."""
    try:
        return subject.backend.check(subject.original, path, runtime=subject.runtime, float16=float16)
    except ModelError as error:
        if error.code == "rewrite_invalid" and "does not load" in error.message:
            return None
        raise


def test_every_format_that_files_may_have_is_there_and_asked() -> None:
    assert set(FOUND) == set(FORMATS.values()) == set(MODELS)
    assert {suffix: backends.load(name).SUFFIX for suffix, name in FORMATS.items()} == {name: name for name in FORMATS}


@pytest.mark.parametrize("name", FOUND)
def test_its_functions_are_the_protocols(name: str) -> None:
    backend = backends.load(name)

    assert all(find_spec(tool) is not None for tool in backend.TOOLS)
    functions = inspect.getmembers(Backend, inspect.isfunction)
    wanted = {name: function for name, function in functions if not name.startswith("_")}
    assert len(wanted) > 10
    for function in wanted:
        mine = inspect.signature(getattr(backend, function)).parameters
        theirs = list(inspect.signature(wanted[function]).parameters.values())[1:]  # without self
        assert [(one.name, one.kind, one.default) for one in mine.values()] == [
            (one.name, one.kind, one.default) for one in theirs
        ], function


def test_a_file_and_the_model_loaded_from_it_have_the_same_ends(subject: Subject) -> None:
    info = subject.backend.inspect(subject.original)
    session = subject.backend.open(subject.original, runtime=subject.runtime)

    assert session.inputs == info.inputs
    assert session.outputs == info.outputs
    assert info.size_bytes == subject.original.stat().st_size
    outputs = session.run(subject.rows[0])
    assert [str(value.dtype) for value in outputs] == [spec.dtype for spec in info.outputs]
    for value, spec in zip(outputs, info.outputs, strict=True):
        assert all(want in (None, have) for have, want in zip(value.shape, spec.shape, strict=True))


def test_more_threads_change_no_answer(subject: Subject) -> None:
    several = subject.backend.open(subject.original, runtime=subject.runtime, threads=2)

    assert subject.noise(several.run(row)[0] for row in subject.rows) < EXACT


def test_an_optimised_form_has_the_same_ends_and_answers_exactly_the_same(subject: Subject, tmp_path: Path) -> None:
    form = subject.backend.optimize(subject.original, tmp_path, runtime=subject.runtime)

    if form is None:
        assert list(tmp_path.glob("optimized*")) == []
        return
    before, after = (subject.backend.open(path, runtime=subject.runtime) for path in (subject.original, form))
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    assert all(map(np.array_equal, subject.outputs(form), subject.outputs(subject.original)))


def test_a_prepared_model_computes_the_same_and_is_the_same_each_time(subject: Subject) -> None:
    again = subject.folder / f"again{subject.backend.SUFFIX}"
    subject.backend.prepare(subject.original, again)

    assert again.read_bytes() == subject.prepared.read_bytes()
    assert subject.noise(subject.outputs(subject.prepared)) < EXACT


def test_a_tap_gives_every_tensor_once_and_ends_as_the_model_does(subject: Subject) -> None:
    tap = subject.backend.tap(subject.prepared, runtime=subject.runtime)
    session = subject.backend.open(subject.prepared, runtime=subject.runtime)
    row = subject.rows[0]

    # Each is copied: a tap may hand out what the next call overwrites.
    values = [(name, np.array(value)) for name, value in tap.run(row)]

    assert sorted(name for name, _ in values) == sorted(tap.names)
    found = dict(values)
    assert np.array_equal(found["x"], row["x"])
    for spec, output in zip(session.outputs, session.run(row), strict=True):
        assert np.allclose(found[spec.name], output, atol=1e-5)
    assert tap.same_range.keys() <= set(tap.names)
    assert set(tap.same_range.values()) <= set(tap.names) - tap.same_range.keys()
    wanted = list(tap.names)[1::2]
    part = subject.backend.tap(subject.prepared, wanted, runtime=subject.runtime)
    assert list(part.names) == wanted
    some = {name: np.array(value) for name, value in part.run(row)}
    assert some.keys() == set(wanted)
    assert all(np.allclose(some[name], found[name], atol=1e-5) for name in wanted)


def test_layers_are_named_once_and_all_that_they_compute_is_tapped(subject: Subject) -> None:
    layers = subject.backend.layers(subject.prepared)
    tapped = set(subject.backend.tap(subject.prepared, runtime=subject.runtime).names)

    names = [layer.name for layer in layers]
    assert len(names) == len(set(names)) > 3
    assert all(set(layer.outputs) <= tapped for layer in layers)
    weighted = [layer for layer in layers if layer.weights is not None]
    assert {layer.operator for layer in weighted} <= set(subject.backend.core_operators())
    assert set(subject.backend.product_operators()) & {layer.operator for layer in weighted}
    for layer in weighted:
        assert layer.weights is not None
        assert layer.weights.dtype == np.float32
        assert layer.weight_axis < layer.weights.ndim


def test_the_flow_is_the_whole_graph_in_the_order_of_a_run(subject: Subject) -> None:
    flow = subject.backend.flow(subject.prepared)
    layers = {layer.name: layer for layer in subject.backend.layers(subject.prepared)}
    nodes = {node.name: node for node in flow.nodes}

    assert set(layers) <= set(nodes)
    computed = {name for node in flow.nodes for name in node.outputs}
    done: set[str] = set()
    for node in flow.nodes:
        assert not computed.intersection(node.inputs) - done
        done.update(node.outputs)
    for name, layer in layers.items():
        assert tuple(nodes[name].outputs) == layer.outputs
        assert nodes[name].weights >= (0 if layer.weights is None else layer.weights.size)
        assert (nodes[name].weights > 0) == (layer.weights is not None)
    assert len(flow.outputs) == len(subject.backend.inspect(subject.original).outputs)
    assert set(flow.outputs) <= done


@pytest.mark.parametrize("method", get_args(Method))
def test_every_scheme_worth_trying_gives_a_sound_file_that_does_what_float_does(
    subject: Subject, method: Method
) -> None:
    backend = subject.backend
    assert backend.schemes(method)
    tried = 0
    for scheme in backend.schemes(method):
        ranged = "minmax" if method == "static" else ""
        spec = CandidateSpec(method, ranged, types=scheme.types, per_channel=scheme.per_channel)
        path = subject.rewrite(spec)
        first = path.read_bytes()
        assert subject.rewrite(spec).read_bytes() == first, "the same file each time"
        counted = sound(subject, path, float16=method == "float16")
        if counted is None:  # the second runtime may lack a kernel; the preferred must not
            assert subject.runtime != backend.RUNTIMES[0]
            continue
        tried += 1
        if method == "float16":
            assert (counted["float16_weights"] >= 1, counted["int8_weights"], counted["int8_nodes"]) == (True, 0, 0)
        else:
            assert min(counted["int8_weights"], counted["int8_nodes"]) >= 1
        assert path.stat().st_size < subject.original.stat().st_size + 4096
        if not backend.saturates(spec):
            assert subject.noise(subject.outputs(path)) < 0.05
    assert tried


def test_switches_off_are_float_and_all_on_are_the_static_int8_model(subject: Subject) -> None:
    int8 = subject.noise(subject.outputs(subject.rewrite(subject.static)))

    assert subject.noise(subject.switched(subject.static, ())) < EXACT
    assert int8 > 1e-7
    assert math.isclose(subject.noise(subject.switched(subject.static)), int8, rel_tol=LIKE_INT8)
    needed = subject.backend.switches(subject.prepared, subject.ranges, subject.static, runtime=subject.runtime)
    layers = {layer.name for layer in subject.backend.layers(subject.prepared)}
    assert all(set(wanted) <= layers and wanted for wanted in needed.needed_by.values())


def test_a_layer_can_be_left_float_alone(subject: Subject) -> None:
    backend = subject.backend
    weighted = [layer.name for layer in backend.layers(subject.prepared) if layer.weights is not None]
    every = backend.check(subject.original, subject.rewrite(subject.static), runtime=subject.runtime)

    for name in weighted:
        spec = replace(subject.static, float_layers=(name,))
        counted = backend.check(subject.original, subject.rewrite(spec), runtime=subject.runtime)
        assert counted["int8_weights"] == every["int8_weights"] - 1, name
    assert len(weighted) > 2


def test_a_float_file_is_not_taken_for_int8_nor_another_model_for_this_one(subject: Subject) -> None:
    backend = subject.backend

    refused(lambda: backend.check(subject.original, subject.original, runtime=subject.runtime), "rewrite_invalid")
    refused(lambda: backend.check(subject.original, subject.prepared, runtime=subject.runtime), "rewrite_invalid")


def test_an_int8_file_is_not_quantized_again(subject: Subject) -> None:
    path = subject.rewrite(subject.static)

    refused(lambda: subject.backend.inspect(path), "already_quantized")


def test_a_range_that_is_missing_or_none_is_an_error(subject: Subject) -> None:
    """Of a tensor between layers, whose range nothing else could stand in for."""
    whole = dict(subject.ranges)
    (name,) = [layer.inputs[0] for layer in subject.backend.layers(subject.prepared) if layer.weights is not None][1:2]

    for spoilt in (
        {key: found for key, found in whole.items() if key != name},
        whole | {name: Range(-math.inf, 1.0)},
        whole | {name: Range(0.0, math.nan)},
    ):
        subject.ranges = spoilt
        with pytest.raises(StageError, match="range"):
            subject.rewrite(subject.static)
        with pytest.raises(StageError, match="range"):
            subject.switched(subject.static)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda _: {}, "input_missing"),
        (lambda x: {"y": x}, "input_missing"),
        (lambda x: {"x": x, "y": x}, "input_missing"),
        (lambda x: {"x": x[..., :-1]}, "shape_mismatch"),
        (lambda x: {"x": x[0]}, "shape_mismatch"),
        (lambda x: {"x": x.astype(np.float64)}, "dtype_mismatch"),
        (lambda x: {"x": x.astype(np.int32)}, "dtype_mismatch"),
    ],
    ids=["nothing", "misnamed", "too much", "smaller", "fewer dimensions", "double", "integers"],
)
def test_what_does_not_fit_has_the_same_code_in_every_format(
    subject: Subject, change: Callable[[Array], Feeds], code: str
) -> None:
    session = subject.backend.open(subject.original, runtime=subject.runtime)

    error = refused(lambda: session.run(change(subject.rows[0]["x"])), code)

    assert len(error.message) > 10
    assert np.allclose(session.run(subject.rows[0])[0], subject.reference[0], atol=1e-6), "and it goes on"


def test_what_is_no_model_is_unreadable(subject: Subject) -> None:
    for number, data in enumerate((b"", b"no model" * 100, subject.original.read_bytes()[:-400])):
        path = subject.folder / f"{number}{subject.backend.SUFFIX}"
        path.write_bytes(data)

        refused(lambda path=path: subject.backend.inspect(path), "model_unreadable")  # type: ignore[misc]
        refused(lambda path=path: subject.backend.open(path, runtime=subject.runtime), "model_unreadable")  # type: ignore[misc]


def test_a_runtime_that_serves_other_formats_is_refused_by_name(subject: Subject) -> None:
    error = refused(lambda: subject.backend.open(subject.original, runtime="another-runtime"), "format_unsupported")

    assert "another-runtime" in error.message
    assert subject.backend.runtime_version(subject.runtime)
