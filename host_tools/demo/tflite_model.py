"""Writes the demo's model as a TensorFlow Lite file, with the weights of its ONNX file. Run by hand, after training.

    .venv/bin/python host_tools/demo/tflite_model.py

Writes ``har.tflite`` and its manifest beside ``har.onnx`` and ``har.toml``; the same of these give the same of those.
The layout is what a converter of Keras models leaves: time before channels, ``imu`` [1, 100, 6], a convolution over
time is one over an image of one row, and padding is an operator of its own where the two formats pad differently. It is
packed by the schema that LiteRT brings, so no TensorFlow is needed.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

schema: Any = import_module("ai_edge_litert.schema_py_generated")  # generated, and untyped like the next
flatbuffers: Any = import_module("flatbuffers")

DATA = Path(__file__).with_name("data")
_TRANSPOSE = '    { op = "transpose", axes = [1, 0] },\n'
_REST = """
[recipe]
search_budget_s = 30                                # two runtimes, so twice as much to try; a demo shall be short

[gates]
# Off, because the demo shall go through on every machine: on x86 the runtimes of this format are often no faster with
# int8 convolutions than with float ones. The table shows what both take; leave this out where int8 is for speed.
max_latency_ratio = 0
"""
_FLOAT, _INT = schema.TensorType.FLOAT32, schema.TensorType.INT32
_RELU, _LINEAR = schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.NONE
_KINDS = (("CONV_2D", "Conv2DOptions"), ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"))
_IDENTIFIER = b"TFL3"


def converted(model: Any) -> bytes:
    """The demo's network, which is convolutions with ReLU, an average over time and a dense layer, as a file."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    channels, time = shape[1:]
    file = _File()
    model_input = file.tensor(model.graph.input[0].name, [1, time, channels])
    x = file.reshaped(model_input, "row", [1, 1, time, channels])
    for number, node in enumerate(node for node in model.graph.node if node.op_type == "Conv"):
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        kernel, bias = (weights[name] for name in node.input[1:])
        x = file.convolution(x, f"conv{number}", kernel, bias, attributes)
    x = file.averaged(x, "average")
    head = next(node for node in model.graph.node if node.op_type == "Gemm")
    kernel, bias = (weights[name] for name in head.input[1:])
    output = file.dense(x, model.graph.output[0].name, kernel, bias)
    return file.packed(model_input, output)


class _File:
    """A file in the making; tensors are known by their index."""

    def __init__(self) -> None:
        self._graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name="main")
        self._model = schema.ModelT(
            version=3, operatorCodes=[], subgraphs=[self._graph], buffers=[schema.BufferT()],
            description="edge-agent's demo: shoulder exercises",
        )  # fmt: skip
        self._codes: dict[int, int] = {}

    def tensor(self, name: str, shape: Sequence[int], kind: int = _FLOAT) -> int:
        self._graph.tensors.append(schema.TensorT(name=name, type=kind, shape=list(shape), hasRank=True))
        return len(self._graph.tensors) - 1

    def reshaped(self, x: int, name: str, shape: Sequence[int]) -> int:
        wanted = self._constant(f"{name}/shape", np.array(shape, np.int32))
        return self._operator("RESHAPE", [x, wanted], name, shape, "ReshapeOptions", newShape=list(shape))

    def convolution(
        self, x: int, name: str, kernel: NDArray[Any], bias: NDArray[Any], attributes: Mapping[str, Any]
    ) -> int:
        """A convolution over time with ReLU; ``kernel`` [out, in, taps] as ONNX has it, in = 1 if it is depthwise."""
        out, _, taps = kernel.shape
        (stride,), (before, after) = attributes["strides"], attributes["pads"]
        time = self._graph.tensors[x].shape[2]
        steps = (time + before + after - taps) // stride + 1
        after = max((steps - 1) * stride + taps - time - before, 0)  # the rest is beyond the last step
        same = before in (after, after - 1)  # what this format means by SAME: where it is odd, one more behind
        if not same:
            x = self._padded(x, f"{name}/padded", before, after)
        settings = {
            "padding": schema.Padding.SAME if same else schema.Padding.VALID, "strideW": stride, "strideH": stride,
            "dilationWFactor": 1, "dilationHFactor": 1, "fusedActivationFunction": _RELU,
        }  # fmt: skip
        if depthwise := attributes["group"] > 1:
            settings["depthMultiplier"] = 1
        order = (1, 2, 0) if depthwise else (0, 2, 1)
        image = np.expand_dims(kernel.transpose(order), 0 if depthwise else 1)
        inputs = [x, self._constant(f"{name}/weights", image), self._constant(f"{name}/bias", bias)]
        kind, options = _KINDS[depthwise]
        return self._operator(kind, inputs, name, [1, 1, steps, out], options, **settings)

    def averaged(self, x: int, name: str) -> int:
        axes = self._constant(f"{name}/axes", np.array([1, 2], np.int32))
        channels = self._graph.tensors[x].shape[3]
        return self._operator("MEAN", [x, axes], name, [1, channels], "ReducerOptions", keepDims=False)

    def dense(self, x: int, name: str, kernel: NDArray[Any], bias: NDArray[Any]) -> int:
        inputs = [x, self._constant(f"{name}/weights", kernel), self._constant(f"{name}/bias", bias)]
        options = {"fusedActivationFunction": _LINEAR}
        return self._operator("FULLY_CONNECTED", inputs, name, [1, len(bias)], "FullyConnectedOptions", **options)

    def packed(self, model_input: int, model_output: int) -> bytes:
        self._graph.inputs, self._graph.outputs = [model_input], [model_output]
        ends = [
            [schema.TensorMapT(name=self._graph.tensors[index].name, tensorIndex=index)]
            for index in (model_input, model_output)
        ]
        self._model.signatureDefs = [
            schema.SignatureDefT(inputs=ends[0], outputs=ends[1], signatureKey="serving_default", subgraphIndex=0)
        ]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())

    def _padded(self, x: int, name: str, before: int, after: int) -> int:
        one, row, time, channels = self._graph.tensors[x].shape
        wanted = self._constant(f"{name}/sizes", np.array([[0, 0], [0, 0], [before, after], [0, 0]], np.int32))
        return self._operator("PAD", [x, wanted], name, [one, row, before + time + after, channels], "PadOptions")

    def _constant(self, name: str, value: NDArray[Any]) -> int:
        index = self.tensor(name, value.shape, _INT if value.dtype == np.int32 else _FLOAT)
        self._model.buffers.append(schema.BufferT(data=np.ascontiguousarray(value).reshape(-1).view(np.uint8)))
        self._graph.tensors[index].buffer = len(self._model.buffers) - 1
        return index

    def _operator(
        self, kind: str, inputs: Sequence[int], name: str, shape: Sequence[int], options: str, **settings: Any
    ) -> int:
        """Add an operator with one float output; returns that."""
        output = self.tensor(name, shape)
        made = schema.OperatorT(opcodeIndex=self._code(kind), inputs=list(inputs), outputs=[output])
        made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        made.builtinOptions = getattr(schema, f"{options}T")(**settings)
        self._graph.operators.append(made)
        return output

    def _code(self, kind: str) -> int:
        code = getattr(schema.BuiltinOperator, kind)
        if code not in self._codes:
            self._codes[code] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(
                schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1)
            )
        return self._codes[code]


def manifest(text: str) -> str:
    """The ONNX model's manifest, made that of this one: time stays before channels, and what the demo wants besides."""
    first, rest = text.split("\n", 1)
    return f"{first.replace('train_model', 'tflite_model')}\n{rest.replace(_TRANSPOSE, '')}{_REST}"


def main() -> None:
    """Write both files."""
    (DATA / "har.tflite").write_bytes(converted(onnx.load(DATA / "har.onnx")))
    text = (DATA / "har.toml").read_text(encoding="utf-8")
    (DATA / "har_tflite.toml").write_text(manifest(text), encoding="utf-8")


if __name__ == "__main__":
    main()
