"""Which operators a candidate may quantize. Names only: every process may import this file."""

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that multiply by weights: nearly all the work and nearly all the bytes of a model."""
RECURRENT = ("LSTM", "GRU", "RNN")
"""Operators with weights that no int8 kernel of the static method takes; their weights can still be stored in int8."""
FOLDED = ("Relu", "Clip")
"""Activations that the runtime folds into the layer before."""
PRODUCTS = ("Gemm", "MatMul")
"""Matrix products: where quantizing an activation as it comes costs less than the integers save."""
AS_THEY_COME = (*PRODUCTS, "LSTM")
"""Operators that quantizing activations as they come makes faster; the runtime has such a kernel for the LSTM, too."""
DYNAMIC = ("Conv", *AS_THEY_COME)
"""Operators whose activations can be quantized as they come."""
CORE = (*WEIGHTED, *FOLDED)
"""The weighted operators, with the activations that the runtime folds into them."""
MOVING = ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that give the values they are given, each once, in another shape or order."""
JOINING = ("Concat",)
"""Operators that put their inputs side by side."""
PASSING = (*MOVING, "AveragePool", "Gather", "MaxPool", "Resize", "Slice", "Split")
"""Operators whose int8 output is on the grid of their input: they move values, or pool them."""
SETTINGS_BEHIND = ("Clip", "Resize")
"""Operators whose float inputs behind the first are settings, which may be infinite or empty."""
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
accuracy; ConvTranspose, too, but is worth it for its size.
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
"""Standard operators that most models are made of; looking one up in onnx's tables would fill these, with 6 MB."""
