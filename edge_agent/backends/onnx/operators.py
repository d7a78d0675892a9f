"""Which operators a candidate may quantize. Names only: every process may import this file."""

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that multiply by weights: nearly all the work and nearly all the bytes of a model."""
CORE = (*WEIGHTED, "Relu", "Clip")
"""The weighted operators, with the activations that the runtime folds into them."""
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
    "Pad",
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
"""Operators that may run on int8 values: everything else gains nothing from them and loses accuracy."""
