"""What a model file says of its inputs and outputs, read without any library of its format.

A host has neither numpy nor onnx. Enough is read to find a window that cannot fit before the model is sent, and to
draft a manifest. Whether the model is sound is the engine's to say, so a file that cannot be understood here is no
error.
"""
