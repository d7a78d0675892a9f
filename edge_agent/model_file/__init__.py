"""Reads the inputs and outputs from a model file without a library for its format.

A host has neither numpy nor onnx. This is enough to detect an impossible window before a push, and to draft a manifest.
Only the engine decides whether the model is sound, so a file that cannot be read here is no error.
"""
