"""Small TensorFlow Lite models, built node by node, for whoever tests with a real model.

Each builder returns the bytes of a file; :func:`save` writes them. Weights come from a fixed seed and the arithmetic is
real, so int8 versions lose accuracy in the way that real models do. The flatbuffer is packed by the generated schema,
as converters do it, and not by the code under test.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as fb
from numpy.typing import NDArray

from edge_agent.backends.tflite.reading import read_model

RELU, RELU6 = fb.ActivationFunctionType.RELU, fb.ActivationFunctionType.RELU6
FLOAT = fb.TensorType.FLOAT32
Floats = NDArray[np.float32]
_TYPES = {
    "float32": FLOAT,
    "float16": fb.TensorType.FLOAT16,
    "int8": fb.TensorType.INT8,
    "int32": fb.TensorType.INT32,
    "int64": fb.TensorType.INT64,
    "uint8": fb.TensorType.UINT8,
    "bool": fb.TensorType.BOOL,
}


def weights(*shape: int, seed: int = 0, scale: float | None = None) -> Floats:
    """Normal weights, by default so that a layer keeps its input's variance; axis 0 counts its outputs."""
    sigma = (2.0 / max(int(np.prod(shape[1:])), 1)) ** 0.5 if scale is None else scale
    return np.random.default_rng([seed, *shape]).normal(0, sigma, shape).astype(np.float32)


class Net:
    """A model in the making. Tensors are known by index; :meth:`build` gives the bytes."""

    def __init__(self) -> None:
        self.graph = fb.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name="main")
        self.model = fb.ModelT(
            version=3, operatorCodes=[], subgraphs=[self.graph], buffers=[fb.BufferT()], description="built by a test"
        )

    def tensor(
        self, name: str, shape: Sequence[int | None], dtype: str = "float32", grid: tuple[Any, Any] | None = None
    ) -> int:
        made = fb.TensorT(name=name, type=_TYPES[dtype], shape=[size or 1 for size in shape], hasRank=True)
        if None in shape:
            made.shapeSignature = [-1 if size is None else size for size in shape]
        if grid is not None:
            scales, zeros = (np.atleast_1d(one) for one in grid)
            made.quantization = fb.QuantizationParametersT(
                scale=scales.astype(np.float32), zeroPoint=zeros.astype(np.int64)
            )
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def input(self, name: str, shape: Sequence[int | None], dtype: str = "float32", grid: Any = None) -> int:
        self.graph.inputs.append(self.tensor(name, shape, dtype, grid))
        return int(self.graph.inputs[-1])

    def constant(self, name: str, value: NDArray[Any], grid: tuple[Any, Any] | None = None, axis: int = 0) -> int:
        index = self.tensor(name, value.shape, value.dtype.name, grid)
        if grid is not None:
            self.graph.tensors[index].quantization.quantizedDimension = axis
        self.model.buffers.append(fb.BufferT(data=np.ascontiguousarray(value).reshape(-1).view(np.uint8)))
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1
        return index

    def add(
        self, operator: str, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **settings: Any
    ) -> None:
        code = getattr(fb.BuiltinOperator, operator)
        self.model.operatorCodes.append(
            fb.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=settings.pop("version", 1))
        )
        made = fb.OperatorT(opcodeIndex=len(self.model.operatorCodes) - 1, inputs=list(inputs), outputs=list(outputs))
        if options:
            made.builtinOptionsType = getattr(fb.BuiltinOptions, options)
            made.builtinOptions = getattr(fb, f"{options}T")(**settings)
        self.graph.operators.append(made)

    def node(
        self, operator: str, inputs: Sequence[int], name: str, shape: Sequence[int | None], *rest: Any, **settings: Any
    ) -> int:
        """An operator with one float output; returns that."""
        output = self.tensor(name, shape)
        self.add(operator, inputs, [output], *rest, **settings)
        return output

    def conv(
        self, x: int, name: str, w: int, b: int, shape: Sequence[int | None], *, stride: int = 1, act: int = RELU
    ) -> int:
        return self.node(
            "CONV_2D", [x, w, b], name, shape, "Conv2DOptions",
            padding=fb.Padding.SAME, strideW=stride, strideH=stride, fusedActivationFunction=act,
            dilationWFactor=1, dilationHFactor=1,
        )  # fmt: skip

    def depthwise(self, x: int, name: str, w: int, b: int, shape: Sequence[int | None], *, act: int = RELU6) -> int:
        return self.node(
            "DEPTHWISE_CONV_2D", [x, w, b], name, shape, "DepthwiseConv2DOptions",
            padding=fb.Padding.SAME, strideW=1, strideH=1, depthMultiplier=1, fusedActivationFunction=act,
            dilationWFactor=1, dilationHFactor=1,
        )  # fmt: skip

    def pool(self, x: int, name: str, size: int, shape: Sequence[int | None]) -> int:
        return self.node(
            "AVERAGE_POOL_2D", [x], name, shape, "Pool2DOptions",
            padding=fb.Padding.VALID, strideW=size, strideH=size, filterWidth=size, filterHeight=size,
        )  # fmt: skip

    def reshape(self, x: int, name: str, shape: Sequence[int]) -> int:
        wanted = self.constant(f"{name}/shape", np.array(shape, np.int32))
        return self.node("RESHAPE", [x, wanted], name, shape)

    def dense(self, x: int, name: str, w: int, b: int, shape: Sequence[int | None], *, act: int = 0) -> int:
        return self.node(
            "FULLY_CONNECTED", [x, w, b], name, shape, "FullyConnectedOptions", fusedActivationFunction=act
        )

    def sign(self, inputs: dict[str, int], outputs: dict[str, int], key: str = "serving_default") -> "Net":
        maps = [[fb.TensorMapT(name=name, tensorIndex=index) for name, index in of.items()] for of in (inputs, outputs)]
        made = fb.SignatureDefT(inputs=maps[0], outputs=maps[1], signatureKey=key, subgraphIndex=0)
        self.model.signatureDefs = [*(self.model.signatureDefs or []), made]
        return self

    def build(self, *outputs: int) -> bytes:
        self.graph.outputs = list(outputs) or self.graph.outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def save(built: bytes, path: Path) -> Path:
    path.write_bytes(built)
    return path


def _conv_body(net: Net, batch: int | None = 1) -> tuple[int, int]:
    x = net.input("x", (batch, 16, 16, 3))
    stem = net.conv(
        x,
        "stem",
        net.constant("w1", weights(8, 3, 3, 3)),
        net.constant("b1", weights(8, scale=0.1)),
        (batch, 16, 16, 8),
    )
    # Channels of very different size: one scale for all of them loses the small ones.
    spread = weights(1, 3, 3, 8, scale=0.3) * np.geomspace(0.02, 2, 8, dtype=np.float32)
    deep = net.depthwise(
        stem, "deep", net.constant("w2", spread), net.constant("b2", weights(8, scale=0.1)), (batch, 16, 16, 8)
    )
    side = net.conv(
        stem,
        "side",
        net.constant("w3", weights(8, 1, 1, 8)),
        net.constant("b3", weights(8, scale=0.1)),
        (batch, 16, 16, 8),
        act=0,
    )
    total = net.node("ADD", [deep, side], "sum", (batch, 16, 16, 8), "AddOptions", fusedActivationFunction=RELU)
    pooled = net.pool(total, "pool", 8, (batch, 2, 2, 8))
    flat = net.reshape(pooled, "flat", (1, 32) if batch else (-1, 32))
    net.graph.tensors[flat].shape = [1, 32]
    if batch is None:
        net.graph.tensors[flat].shapeSignature = [-1, 32]
    logits = net.dense(
        flat, "logits", net.constant("w4", weights(5, 32)), net.constant("b4", weights(5, scale=0.1)), (batch, 5)
    )
    y = net.node("SOFTMAX", [logits], "y", (batch, 5), "SoftmaxOptions", beta=1.0)
    return x, y


def conv_net() -> bytes:
    """``x`` [1, 16, 16, 3] → conv, depthwise and pointwise, add, pool, reshape, dense, softmax → ``y`` [1, 5]."""
    net = Net()
    x, y = _conv_body(net)
    return net.sign({"x": x}, {"y": y}).build(y)


def unsigned_net() -> bytes:
    """:func:`conv_net` without a signature."""
    net = Net()
    _, y = _conv_body(net)
    return net.build(y)


def old_net() -> bytes:
    """:func:`unsigned_net` as before 2020: operators named by ``deprecated_builtin_code`` only."""
    net = Net()
    _, y = _conv_body(net)
    for code in net.model.operatorCodes:
        code.builtinCode = 0
    return net.build(y)


def batch_net() -> bytes:
    """:func:`conv_net` with a batch that may change."""
    net = Net()
    x, y = _conv_body(net, None)
    return net.sign({"x": x}, {"y": y}).build(y)


def mlp() -> bytes:
    """``x`` [1, 12] → dense with ReLU, dense → ``out`` [1, 5], of 4 kB weights; tensors named as converters do."""
    net = Net()
    x = net.input("serving_default_x:0", (1, 12))
    hidden = net.dense(
        x, "net/hidden/MatMul;net/hidden/Relu;net/hidden/BiasAdd", net.constant("net/hidden/MatMul", weights(64, 12)),
        net.constant("bias", weights(64, scale=0.1)), (1, 64), act=RELU,
    )  # fmt: skip
    y = net.dense(
        hidden,
        "StatefulPartitionedCall:0",
        net.constant("w", weights(5, 64)),
        net.constant("b", weights(5, scale=0.1)),
        (1, 5),
    )
    return net.build(y)


def dead_channel_net() -> bytes:
    """``x`` [1, 4] → dense whose second output has no weights and a bias of 0.5 → ``y`` [1, 3]."""
    net = Net()
    matrix = weights(3, 4)
    matrix[1] = 0
    bias = np.array([0.1, 0.5, -0.2], np.float32)
    y = net.dense(net.input("x", (1, 4)), "y", net.constant("w", matrix), net.constant("b", bias), (1, 3))
    return net.build(y)


def two_inputs() -> bytes:
    """``image`` [1, 8, 8, 3] and ``facts`` [1, 6] → conv, mean, concat, dense → ``y`` [1, 2], ``features`` [1, 10]."""
    net = Net()
    image, facts = net.input("image", (1, 8, 8, 3)), net.input("facts", (1, 6))
    conv = net.conv(
        image, "conv", net.constant("w1", weights(4, 3, 3, 3)), net.constant("b1", weights(4, scale=0.1)), (1, 8, 8, 4)
    )
    axes = net.constant("axes", np.array([1, 2], np.int32))
    mean = net.node("MEAN", [conv, axes], "mean", (1, 4), "ReducerOptions", keepDims=False)
    features = net.node("CONCATENATION", [mean, facts], "features", (1, 10), "ConcatenationOptions", axis=1)
    y = net.dense(
        features, "dense", net.constant("w2", weights(2, 10)), net.constant("b2", weights(2, scale=0.1)), (1, 2)
    )
    return net.sign({"image": image, "facts": facts}, {"y": y, "features": features}).build(y, features)


def activations_net() -> bytes:
    """``x`` [1, 6] → dense and tanh times dense and logistic, leaky ReLU, dense → ``y`` [1, 8]: fixed grids."""
    net = Net()
    x = net.input("x", (1, 6))
    left = net.dense(x, "left", net.constant("w1", weights(8, 6)), net.constant("b1", weights(8, scale=0.1)), (1, 8))
    right = net.dense(
        x, "right", net.constant("w2", weights(8, 6, seed=1)), net.constant("b2", weights(8, scale=0.1)), (1, 8)
    )
    tanh = net.node("TANH", [left], "tanh", (1, 8))
    gate = net.node("LOGISTIC", [right], "gate", (1, 8))
    product = net.node("MUL", [tanh, gate], "product", (1, 8), "MulOptions")
    leaky = net.node("LEAKY_RELU", [product], "leaky", (1, 8), "LeakyReluOptions", alpha=0.2)
    y = net.dense(
        leaky, "y", net.constant("w3", weights(8, 8, seed=2)), net.constant("b3", weights(8, scale=0.1)), (1, 8)
    )
    return net.build(y)


def attention_net() -> bytes:
    """``x`` [1, 4, 8] → two products of activations with a softmax between → ``y`` [1, 4, 8]."""
    net = Net()
    x = net.input("x", (1, 4, 8))
    w = net.constant("w", weights(8, 8, seed=3).reshape(1, 8, 8))
    query = net.node("BATCH_MATMUL", [x, w], "query", (1, 4, 8), "BatchMatMulOptions", adjX=False, adjY=False)
    scores = net.node("BATCH_MATMUL", [query, x], "scores", (1, 4, 4), "BatchMatMulOptions", adjX=False, adjY=True)
    shares = net.node("SOFTMAX", [scores], "shares", (1, 4, 4), "SoftmaxOptions", beta=1.0)
    y = net.node("BATCH_MATMUL", [shares, x], "y", (1, 4, 8), "BatchMatMulOptions", adjX=False, adjY=False)
    return net.build(y)


def upsampling_net() -> bytes:
    """``x`` [1, 4, 4, 3] → transposed convolution, mean, squeezed, dense → ``y`` [1, 2]."""
    net = Net()
    x = net.input("x", (1, 4, 4, 3))
    shape = net.constant("shape", np.array([1, 8, 8, 6], np.int32))
    kernel, bias = net.constant("w1", weights(6, 3, 3, 3)), net.constant("b1", weights(6, scale=0.1))
    up = net.node(
        "TRANSPOSE_CONV", [shape, kernel, x, bias], "up", (1, 8, 8, 6), "TransposeConvOptions", version=3,
        padding=fb.Padding.SAME, strideW=2, strideH=2,
    )  # fmt: skip
    axes = net.constant("axes", np.array([1, 2], np.int32))
    mean = net.node("MEAN", [up, axes], "mean", (1, 1, 1, 6), "ReducerOptions", keepDims=True)
    flat = net.node("SQUEEZE", [mean], "flat", (1, 6), "SqueezeOptions", squeezeDims=[1, 2])
    w, b = net.constant("w2", weights(2, 6)), net.constant("b2", weights(2, scale=0.1))
    return net.build(net.dense(flat, "y", w, b, (1, 2)))


def embedding_net() -> bytes:
    """``ids`` int32 [7] → rows of a table, dense → ``y`` [7, 3]."""
    net = Net()
    ids = net.input("ids", (7,), "int32")
    table = net.constant("table", weights(20, 16, scale=1.0))
    found = net.node("EMBEDDING_LOOKUP", [ids, table], "rows", (7, 16))
    w, b = net.constant("w", weights(3, 16)), net.constant("b", weights(3, scale=0.1))
    return net.build(net.dense(found, "y", w, b, (7, 3)))


def hybrid_net() -> bytes:
    """``x`` [1, 12] → dense with int8 weights, dense with float ones → ``y`` [1, 5]."""
    net = Net()
    x = net.input("x", (1, 12))
    exact = weights(64, 12)
    step = np.float32(np.abs(exact).max() / 127)
    w = net.constant("w1", np.rint(exact / step).astype(np.int8), (step, 0))
    hidden = net.dense(x, "hidden", w, net.constant("b1", weights(64, scale=0.1)), (1, 64), act=RELU)
    y = net.dense(hidden, "y", net.constant("w2", weights(5, 64)), net.constant("b2", weights(5, scale=0.1)), (1, 5))
    return net.build(y)


def half_net() -> bytes:
    """``x`` [1, 12] → dense with 16-bit weights behind DEQUANTIZE → ``y`` [1, 5]."""
    net = Net()
    x = net.input("x", (1, 12))
    parts = []
    for name, value in (("w", weights(5, 12)), ("b", weights(5, scale=0.1))):
        stored = net.constant(f"{name}16", value.astype(np.float16))
        parts.append(net.node("DEQUANTIZE", [stored], name, value.shape, "DequantizeOptions"))
    return net.build(net.dense(x, "y", parts[0], parts[1], (1, 5)))


def half_activations_net() -> bytes:
    """``x`` [1, 12] in 16-bit float."""
    net = Net()
    x = net.input("x", (1, 12), "float16")
    wide = net.node("CAST", [x], "wide", (1, 12), "CastOptions", inDataType=1, outDataType=0)
    return net.build(net.dense(wide, "y", net.constant("w", weights(5, 12)), net.constant("b", weights(5)), (1, 5)))


def int8_net() -> bytes:
    """``x`` int8 [1, 12] → int8 dense → ``y`` int8 [1, 5]: quantized already, inputs and outputs as well."""
    net = Net()
    exact, bias = weights(5, 12), weights(5, scale=0.1)
    steps = (np.abs(exact).max(axis=1) / 127).astype(np.float32)
    x = net.input("x", (1, 12), "int8", (0.03, 3))
    w = net.constant("w", np.rint(exact / steps[:, None]).astype(np.int8), (steps, np.zeros(5)))
    b = net.constant(
        "b", np.rint(bias / (steps * np.float32(0.03))).astype(np.int32), (steps * np.float32(0.03), np.zeros(5))
    )
    y = net.tensor("y", (1, 5), "int8", (0.08, -2))
    net.add("FULLY_CONNECTED", [x, w, b], [y], "FullyConnectedOptions", version=12)
    return net.build(y)


def custom_net(code: str = "Wavelet") -> bytes:
    """``x`` [1, 8] → a custom operator → dense → ``y`` [1, 4]."""
    net = Net()
    x = net.input("x", (1, 8))
    hidden = net.node("CUSTOM", [x], "hidden", (1, 8))
    net.model.operatorCodes[-1].customCode = code
    return net.build(net.dense(hidden, "y", net.constant("w", weights(4, 8)), net.constant("b", weights(4)), (1, 4)))


def upscaling_net() -> bytes:
    """``x`` [1, 4, 4, 8] → convolution → a custom operator that ai-edge-litert has → ``y`` [1, 8, 8, 6]."""
    net = Net()
    x = net.input("x", (1, 4, 4, 8))
    small = net.conv(
        x, "small", net.constant("w", weights(8, 3, 3, 8)), net.constant("b", weights(8, scale=0.1)), (1, 4, 4, 8)
    )
    up = net.constant("up", weights(6, 2, 2, 8)), net.constant("c", weights(6, scale=0.1))
    y = net.node("CUSTOM", [small, *up], "y", (1, 8, 8, 6))
    net.model.operatorCodes[-1].customCode = "Convolution2DTransposeBias"
    padding, stride = 1, 2
    net.graph.operators[-1].customOptions = np.array([padding, stride, stride], "<i4").view(np.uint8)
    return net.build(y)


def two_signatures_net() -> bytes:
    """``conv_net`` as ``serving_default``, and ``encode`` with a graph of its own: ``x`` [1, 8] → dense → ``code``."""
    net = Net()
    x, y = _conv_body(net)
    net.sign({"x": x}, {"y": y})
    net.graph.outputs = [y]
    inner = Net()
    fed = inner.input("x", (1, 8))
    code = inner.dense(fed, "code", inner.constant("we", weights(4, 8)), inner.constant("be", weights(4)), (1, 4))
    inner.sign({"x": fed}, {"code": code}, key="encode")
    buffers, codes = len(net.model.buffers), len(net.model.operatorCodes)
    for tensor in inner.graph.tensors:
        tensor.buffer += buffers * bool(tensor.buffer)
    for operator in inner.graph.operators:
        operator.opcodeIndex += codes
    inner.graph.outputs, inner.graph.name = [code], "encode"
    net.model.buffers += inner.model.buffers
    net.model.operatorCodes += inner.model.operatorCodes
    net.model.subgraphs.append(inner.graph)
    inner.model.signatureDefs[0].subgraphIndex = 1
    net.model.signatureDefs += inner.model.signatureDefs
    return net.build()


def flex_net() -> bytes:
    """A TensorFlow operator inside."""
    return custom_net("FlexErf")


def stateful_net() -> bytes:
    """``x`` [1, 8] → a variable of the runtime's own → ``y`` [1, 8]."""
    net = Net()
    x = net.input("x", (1, 8))
    handle = net.tensor("handle", ())
    net.graph.tensors[handle].type = fb.TensorType.RESOURCE
    net.add("VAR_HANDLE", [], [handle], "VarHandleOptions", container="", sharedName="v")
    net.add("ASSIGN_VARIABLE", [handle, x], [])
    return net.build(net.node("READ_VARIABLE", [handle], "y", (1, 8)))


def branching_net() -> bytes:
    """``x`` [1, 8] and ``flag`` → dense → IF flag: a dense of its own, ELSE: as it is → ``y`` [1, 8]."""
    net = Net()
    x, flag = net.input("x", (1, 8)), net.input("flag", (1,), "bool")
    hidden = net.dense(x, "hidden", net.constant("w", weights(8, 8)), net.constant("b", weights(8, scale=0.1)), (1, 8))
    y = net.node("IF", [flag, hidden], "y", (1, 8), "IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=2)
    main = net.graph
    for name in ("then", "else"):
        net.graph = fb.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name=name)
        net.model.subgraphs.append(net.graph)
        inner = net.input("x", (1, 8))
        if name == "then":
            made = net.dense(
                inner, "inner", net.constant("w", weights(8, 8, seed=1)), net.constant("b", weights(8)), (1, 8)
            )
        else:
            made = net.node("ABS", [inner], "same", (1, 8), "AbsOptions")
        net.graph.outputs = [made]
    net.graph = main
    return net.build(y)


def lstm_net() -> bytes:
    """``x`` [1, 5, 4] → LSTM of 6 cells with its state in variable tensors → dense → ``y`` [1, 5, 3]."""
    net = Net()
    x = net.input("x", (1, 5, 4))
    gates = [net.constant(f"i{k}", weights(6, 4, seed=k)) for k in range(4)]
    back = [net.constant(f"r{k}", weights(6, 6, seed=k)) for k in range(4)]
    bias = [net.constant(f"b{k}", weights(6, seed=k, scale=0.1)) for k in range(4)]
    state = [net.tensor(name, (1, 6)) for name in ("h", "c")]
    for index in state:
        net.graph.tensors[index].isVariable = True
    inputs = [x, *gates, *back, -1, -1, -1, *bias, -1, -1, *state, -1, -1, -1, -1]
    hidden = net.node(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, "lstm", (1, 5, 6), "UnidirectionalSequenceLSTMOptions",
        fusedActivationFunction=fb.ActivationFunctionType.TANH, timeMajor=False,
    )  # fmt: skip
    y = net.node(
        "FULLY_CONNECTED", [hidden, net.constant("w", weights(3, 6)), net.constant("b", weights(3, scale=0.1))], "y",
        (1, 5, 3), "FullyConnectedOptions", keepNumDims=True,
    )  # fmt: skip
    return net.build(y)


def looping_net(width: int = 64, steps: int = 6) -> bytes:
    """``x`` [6, 1, 16] → a cell of 64 in a WHILE, as converters write recurrent layers that are not fused → ``y``.

    The loop's state is (step, hidden, x); no layer is outside of it.
    """
    net = Net()
    x = net.input("x", (steps, 1, 16))
    first, start = (
        net.constant("first", np.zeros((), np.int32)),
        net.constant("start", np.zeros((1, width), np.float32)),
    )
    outputs = [
        net.tensor("last", (), "int32"), net.tensor("y", (1, width)), net.tensor("same", (steps, 1, 16)),
    ]  # fmt: skip
    net.add("WHILE", [first, start, x], outputs, "WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=2)
    main = net.graph
    for name in ("cond", "body"):
        net.graph = fb.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name=name)
        net.model.subgraphs.append(net.graph)
        step, hidden, rows = (
            net.input("step", (), "int32"),
            net.input("hidden", (1, width)),
            net.input("rows", (steps, 1, 16)),
        )
        if name == "cond":
            more = net.tensor("more", (), "bool")
            net.add("LESS", [step, net.constant("steps", np.array(steps, np.int32))], [more], "LessOptions")
            net.graph.outputs = [more]
            continue
        row = net.node("GATHER", [rows, step], "row", (1, 16), "GatherOptions", axis=0)
        fed = net.dense(
            row,
            "fed",
            net.constant("wx", weights(width, 16)),
            net.constant("bx", weights(width, scale=0.1)),
            (1, width),
        )
        kept = net.dense(
            hidden,
            "kept",
            net.constant("wh", weights(width, width, scale=0.08)),
            net.constant("bh", weights(width, scale=0.1)),
            (1, width),
        )
        total = net.node("ADD", [fed, kept], "total", (1, width), "AddOptions")
        after = net.node("TANH", [total], "after", (1, width))
        later = net.tensor("later", (), "int32")
        net.add("ADD", [step, net.constant("one", np.array(1, np.int32))], [later], "AddOptions")
        net.graph.outputs = [later, after, rows]
    net.graph = main
    return net.build(outputs[1])


def plain_net() -> bytes:
    """``x`` [1, 8] → tanh → ``y``: a model without a layer that int8 would make faster."""
    net = Net()
    return net.build(net.node("TANH", [net.input("x", (1, 8))], "y", (1, 8)))


def rows(path: Path, count: int, *, seed: int = 0, spread: float = 1.0) -> list[dict[str, NDArray[Any]]]:
    """Feeds for ``count`` runs: normal noise, its sign for booleans, small numbers for integers."""
    model = read_model(path)
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        feeds: dict[str, NDArray[Any]] = {}
        for name, index in zip(model.input_names, model.main.inputs, strict=True):
            tensor = model.main.tensors[index]
            values = rng.normal(0, spread, tensor.shape).astype(np.float32)
            match tensor.type:
                case fb.TensorType.BOOL:
                    feeds[name] = values > 0
                case fb.TensorType.INT32:
                    feeds[name] = rng.integers(0, 20, tensor.shape).astype(np.int32)
                case _:
                    feeds[name] = values
        made.append(feeds)
    return made
