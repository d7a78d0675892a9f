"""Operators that a candidate may quantize. Names only: every process may import this file."""

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that multiply by weights: nearly all the work and nearly all the bytes of a model."""
RECURRENT = ("LSTM", "GRU", "RNN")
"""Weighted operators without an int8 kernel in the static method; their weights can still be stored in int8."""
FOLDED = ("Relu", "Clip")
"""Activations that the runtime fuses into the layer before."""
PRODUCTS = ("Gemm", "MatMul")
"""Matrix products: here, quantizing an activation at run time costs less than the integers save."""
AS_THEY_COME = (*PRODUCTS, "LSTM")
"""Operators that dynamic quantization makes faster; the runtime also has such a kernel for the LSTM."""
DYNAMIC = ("Conv", *AS_THEY_COME)
"""Operators with activations that can be quantized at run time."""
CORE = (*WEIGHTED, *FOLDED)
"""The weighted operators, with the activations that the runtime fuses into them."""
MOVING = ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that only change the shape or order of their values."""
JOINING = ("Concat",)
"""Operators that concatenate their inputs."""
PASSING = (*MOVING, "AveragePool", "Gather", "MaxPool", "Resize", "Slice", "Split")
"""Operators with an int8 output on the grid of their input: they move or pool values."""
SETTINGS_BEHIND = ("Clip", "Resize")
"""Operators with settings as float inputs behind the first; settings may be infinite or empty."""
QUANTIZABLE = (
    *CORE,
    "Add",
    "ArgMax",
    "AveragePool",
    "Concat",
    "Flatten",
    "Gather",
    "GlobalAveragePool",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    "Where",
)
"""Operators that onnxruntime runs on integers, or lets int8 values pass through.

Around any other operator (normalisation, Tanh, Pad, TopK …) it converts to float and back, which costs time and
accuracy. ConvTranspose needs this conversion too, but is worth it for its size.
"""
FAMILIAR = frozenset((
    *QUANTIZABLE, *RECURRENT,
    "Abs", "And", "BatchNormalization", "Cast", "Constant", "ConstantOfShape", "Cos", "CumSum", "DepthToSpace",
    "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Expand", "GatherElements", "GatherND", "Gelu",
    "GlobalMaxPool", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity",
    "InstanceNormalization", "LayerNormalization", "Less", "LessOrEqual", "Log", "LogSoftmax", "Max", "Min",
    "Neg", "NonMaxSuppression", "Not", "OneHot", "Or", "PRelu", "Pad", "Pow", "Range", "Reciprocal", "ReduceL2",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ScatterND", "Shape", "Sin", "Size", "Softplus",
    "SpaceToDepth", "Sqrt", "Sub", "Sum", "Tanh", "Tile", "TopK",
))  # fmt: skip
"""Standard operators of most models. A lookup in onnx's own tables would fill them, at a cost of 6 MB."""
