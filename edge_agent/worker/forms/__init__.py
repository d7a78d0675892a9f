"""Optimised forms of models: made in a process of their own, proved to answer alike, weighed against the model file."""
