"""Which operators a candidate may quantize. Names only: every process may import this file."""

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that multiply by weights: nearly all the work and nearly all the bytes of a model."""
RECURRENT = ("LSTM", "GRU", "RNN")
"""Operators with weights that no int8 kernel of the static method takes; their weights can still be stored in int8."""
FOLDED = ("Relu", "Clip")
"""Activations that the runtime folds into the layer before."""
PRODUCTS = ("Gemm", "MatMul")
"""Matrix products: where quantizing an activation as it comes costs less than the integers save."""
DYNAMIC = ("Conv", *PRODUCTS)
"""Operators whose activations can be quantized as they come."""
CORE = (*WEIGHTED, *FOLDED)
"""The weighted operators, with the activations that the runtime folds into them."""
PASSING = (
    "AveragePool",
    "Flatten",
    "Gather",
    "MaxPool",
    "Reshape",
    "Resize",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
"""Operators whose int8 output is on the grid of their input: they move values, or pool them."""
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
