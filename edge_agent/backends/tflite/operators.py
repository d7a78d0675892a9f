"""Which operators a candidate may quantize, and what each does to a grid. Names only: every process may import this.

The list is that of litert-quantizer 0.11's policy for int8 weights and activations. Around any other operator
(LEAKY_RELU, EXP, LSTM, custom ones …) values become float and int8 again, which costs time and accuracy.
"""

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")
"""Operators that multiply by weights: nearly all the work and nearly all the bytes of a model."""
WEIGHT = 1
"""The position of the weights among a weighted operator's inputs."""
BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
"""The position of the bias among the inputs, where there may be one."""
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
"""Operators with weights that no int8 activations go through."""
LSTM_WEIGHTS = (*range(1, 12), 16)
"""The positions of weights among an LSTM's inputs: of its input, its state, of peepholes, and of a projection."""
CALLED = {"CALL": (0,), "IF": (0, 1), "WHILE": (0, 1)}
"""Operators that run another graph of the model → the fields of their options that say which."""
CALLING = ("CALL", "IF", "STABLEHLO_COMPOSITE", "WHILE")
"""Operators that run another graph of the model."""
VALUES = {"TRANSPOSE_CONV": 2}
"""The position of the activation among a weighted operator's inputs, where it is not the first."""
TABLES = ("EMBEDDING_LOOKUP",)
"""Operators that read rows of a stored table; only the methods that leave activations float know them."""
LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
"""The recurrent layer that the runtimes have a hybrid kernel for: int8 weights, activations quantized as they come."""
PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL", LSTM)
"""Matrix products: where quantizing an activation as it comes costs less than the integers save."""
CORE = (*WEIGHTED, "RELU")
"""The weighted operators, with what else runs on integers at next to no cost. Most activations are fused anyway."""
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
"""Operators whose int8 output is on the grid of their input: they move values, or pool them."""
GATHERING = ("CONCATENATION", "DYNAMIC_UPDATE_SLICE", "MAXIMUM", "PACK", "PADV2", "SELECT", "SELECT_V2")
"""Operators whose int8 inputs must be on the grid of their output."""
JOINING = ("CONCATENATION", "PACK")
"""Operators that put their inputs side by side."""
FIXED = {"LOGISTIC": (0.0, 255 / 256), "SOFTMAX": (0.0, 255 / 256), "TANH": (-1.0, 127 / 128)}
"""Operators whose int8 output has a grid that the runtime prescribes, whatever was seen, and its ends."""
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
"""Operators that both runtimes run on int8 activations, or let them pass through."""
STATEFUL = ("ASSIGN_VARIABLE", "CALL_ONCE", "HASHTABLE", "READ_VARIABLE", "VAR_HANDLE")
"""Operators that carry something from call to call inside the runtime."""
OWN_CUSTOM = ("AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess")
"""Custom operators that the runtimes bring themselves."""
