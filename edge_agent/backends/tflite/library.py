"""The calls of litert-quantizer, and the place of its failures. Its own calibration is never called."""

import re
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from edge_agent.backends import CandidateSpec
from edge_agent.backends.culprit import Naming, place_of
from edge_agent.backends.tflite.absent_runtime import no_runtime
from edge_agent.backends.tflite.graph import PreparedGraph
from edge_agent.backends.tflite.operators import TABLES
from edge_agent.backends.tflite.reading import Model, Operator
from edge_agent.backends.tflite.writing import mapped
from edge_agent.errors import ModelError

_PARTS = ("qtyping", "recipe_manager", "params_generator", "model_modifier", "utils.tfl_flatbuffer_utils")
_THEIR_NAMES = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}


def quantized(
    prepared: Path,
    graph: PreparedGraph,
    chosen: list[Operator],
    statistics: dict[str, dict[str, Any]] | None,
    spec: CandidateSpec,
) -> bytes | bytearray:
    """Return the file that the library writes.

    Its parts are called instead of its ``Quantizer``, which would first load the model into a runtime to check that
    every tensor has statistics.
    """
    try:  # costs 28 MB and 0.3 s, so only a rewriting process imports it
        with no_runtime():
            part = {name: import_module(f"litert_quantizer.{name}") for name in _PARTS}
    except ModuleNotFoundError as error:
        raise ModelError("format_unsupported", f"quantizing .tflite needs the package {error.name}") from error
    types = part["qtyping"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about int8 constants that it leaves unchanged
            recipe = part["recipe_manager"].RecipeManager()
            for operator in sorted({one.name for one in chosen}):
                grain = types.QuantGranularity("CHANNELWISE" if _by_channel(operator, spec) else "TENSORWISE")
                _add(recipe, types.TFLOperationName(_THEIR_NAMES.get(operator, operator)), spec, grain)
            if spec.io == "int8" and spec.method == "static":
                for end in ("INPUT", "OUTPUT"):
                    _add(recipe, types.TFLOperationName(end), spec, types.QuantGranularity.TENSORWISE)
            if spared := _spared(graph, chosen, spec):
                every = types.TFLOperationName.ALL_SUPPORTED
                recipe.add_quantization_config(spared, every, algorithm_key="no_quantize")
            model = part["utils.tfl_flatbuffer_utils"].read_model(memoryview(mapped(prepared)))
            found = (
                part["params_generator"]
                .ParamsGenerator(model)
                .generate_quantization_parameters(recipe, statistics, enable_progress_bar=False)
            )
            content: bytes | bytearray = (
                part["model_modifier"].ModelModifier(model).modify_model(found, enable_progress_bar=False)
            )
    except Exception as error:  # depends on the graph: ValueError, RuntimeError …; only this candidate ends
        place = place_of(error, *_namings(graph.model))
        raise ModelError(
            "rewrite_invalid", f"litert-quantizer fails{place}: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    return content


def _namings(model: Model) -> tuple[Naming, Naming]:
    """Naming functions for the library's variables: operators are format objects, tensors are objects or names.

    An object does not refer to its graph. Its inputs and outputs usually identify it; otherwise it gets no name.
    """
    names = {tensor.name for graph in model.graphs for tensor in graph.tensors}
    layers: dict[tuple[tuple[int, ...], ...], set[str]] = {}
    for graph in model.graphs:
        for one in graph.operators:
            if one.outputs and one.outputs[0] >= 0:
                layers.setdefault((one.inputs, one.outputs), set()).add(graph.tensors[one.outputs[0]].name)

    def node(value: Any) -> str:
        operator = getattr(value, "op", value)
        if not hasattr(operator, "opcodeIndex"):
            return ""
        ends = (tuple(map(int, () if one is None else one)) for one in (operator.inputs, operator.outputs))
        found = layers.get(tuple(ends), set())
        return next(iter(found)) if len(found) == 1 else ""

    def tensor(value: Any) -> str:
        name = value if isinstance(value, str | bytes) else getattr(value, "name", "")
        name = name.decode(errors="replace") if isinstance(name, bytes) else name
        return name if isinstance(name, str) and name in names else ""

    return node, tensor


def _by_channel(operator: str, spec: CandidateSpec) -> bool:
    """Whether an operator's weights get one scale per channel: as in ``spec``, if the runtimes support it."""
    match operator, spec.method:
        case ("BATCH_MATMUL", _):
            return False
        case ("DEPTHWISE_CONV_2D", "dynamic"):
            return True
        case _:
            return spec.per_channel


def _add(recipe: Any, operator: Any, spec: CandidateSpec, granularity: Any) -> None:
    match spec.method:
        case "static" if operator.name in TABLES:  # their rows become float when they are read
            recipe.add_dynamic_config(".*", operator, 8, granularity)
        case "static":
            recipe.add_static_config(".*", operator, 8, 8, granularity)
        case "dynamic":
            recipe.add_dynamic_config(".*", operator, 8, granularity)
        case "uniform":
            recipe.add_weight_only_config(".*", operator, 8, granularity)


def _spared(graph: PreparedGraph, chosen: list[Operator], spec: CandidateSpec) -> str:
    """A pattern of the library's names for operators that stay float although their kind is chosen; empty: none."""
    kinds, mine = {one.name for one in chosen}, {id(one) for one in chosen}
    names = []
    for number, inner in enumerate(graph.model.graphs):
        kept = [one.outputs for one in inner.operators if one.name in kinds and id(one) not in mine]
        if number and spec.io == "int8":  # its inputs and outputs count as operators, named after themselves
            kept += [inner.inputs, inner.outputs]
        called = ("".join(f"{inner.tensors[index].name};" for index in indices if index >= 0) for indices in kept)
        names += [re.escape(name) for name in called]
    return f"^(?:{'|'.join(names)})$" if names else ""
