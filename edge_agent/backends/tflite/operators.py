"""Operators that a candidate may quantize, by their effect on grids. Names only: every process may import this.

The list follows litert-quantizer 0.11's policy for int8 weights and activations. Around any other operator (LEAKY_RELU,
EXP, LSTM, custom ones …) values are converted to float and back, which costs time and accuracy.
"""

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")
"""Operators that multiply by weights: nearly all the work and nearly all the bytes of a model."""
WEIGHT = 1
"""The position of the weights among a weighted operator's inputs."""
BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
"""The position of the optional bias among the inputs."""
OTHER_LAYERS = (
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "CONV_3D",
    "CONV_3D_TRANSPOSE",
    "LSTM",
    "RNN",
    "SVDF",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
)
"""Operators with weights that do not support int8 activations."""
LSTM_WEIGHTS = (*range(1, 12), 16)
"""The positions of weights among an LSTM's inputs: for input, state, peepholes and projection."""
CALLED = {"CALL": (0,), "IF": (0, 1), "WHILE": (0, 1)}
"""Operators that run another graph of the model → the fields of their options with its number."""
CALLING = ("CALL", "IF", "STABLEHLO_COMPOSITE", "WHILE")
"""Operators that run another graph of the model."""
VALUES = {"TRANSPOSE_CONV": 2}
"""The position of the activation among a weighted operator's inputs, if it is not the first."""
TABLES = ("EMBEDDING_LOOKUP",)
"""Operators that read rows of a stored table; only methods that leave activations float support them."""
LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
"""The recurrent layer with a hybrid kernel: int8 weights, activations quantized at run time."""
PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL", LSTM)
"""Matrix products: here, quantizing an activation at run time costs less than the integers save."""
CORE = (*WEIGHTED, "RELU")
"""The weighted operators, and RELU, which costs nearly nothing on integers. Most activations are fused anyway."""
PASSING = (
    "AVERAGE_POOL_2D",
    "BROADCAST_TO",
    "GATHER",
    "GATHER_ND",
    "MAX_POOL_2D",
    "MIRROR_PAD",
    "PAD",
    "REDUCE_MIN",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "SLICE",
    "SPACE_TO_DEPTH",
    "SPLIT",
    "STRIDED_SLICE",
    "TRANSPOSE",
    "UNPACK",
)
"""Operators with an int8 output on the grid of their input: they move or pool values."""
GATHERING = ("CONCATENATION", "DYNAMIC_UPDATE_SLICE", "MAXIMUM", "PACK", "PADV2", "SELECT", "SELECT_V2")
"""Operators whose int8 inputs must be on the grid of their output."""
JOINING = ("CONCATENATION", "PACK")
"""Operators that concatenate their inputs."""
FIXED = {"LOGISTIC": (0.0, 255 / 256), "SOFTMAX": (0.0, 255 / 256), "TANH": (-1.0, 127 / 128)}
"""Operators whose int8 output has a grid prescribed by the runtime, and the ends of that grid."""
QUANTIZABLE = (
    *WEIGHTED,
    *PASSING,
    *GATHERING,
    *FIXED,
    "ADD",
    "DIV",
    "EQUAL",
    "GELU",
    "HARD_SWISH",
    "MEAN",
    "MUL",
    "NOT_EQUAL",
    "RELU",
    "RSQRT",
    "SQRT",
    "SQUARED_DIFFERENCE",
    "SUB",
    "SUM",
)
"""Operators that both runtimes run on int8 activations or pass them through."""
STATEFUL = ("ASSIGN_VARIABLE", "CALL_ONCE", "HASHTABLE", "READ_VARIABLE", "VAR_HANDLE")
"""Operators that keep state in the runtime between calls."""
OWN_CUSTOM = ("AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess")
"""Custom operators that the runtimes include."""
