"""What a model file says of its inputs and outputs, read without any library of its format.

The host has neither numpy nor onnx. Enough is read to find a window that cannot fit before it is sent, and to draft a
manifest; whether the model is sound is the device's to say, so a file that cannot be understood here is no error.
"""
