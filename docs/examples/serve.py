"""Answers a recording with the active release: python serve.py MODEL RECORDING.npz [STATE_DIR]. Needs the extra device.

A real application reads a sensor in place of the recording. docs/serving.md explains the calls.
"""

import sys

import numpy as np

import edge_agent.serving

name, recording, *folder = sys.argv[1:]
model = edge_agent.serving.load(name, state_dir=folder[0] if folder else None)
samples = np.load(recording)["samples"]  # [n, channels], in the manifest's order
stream = model.stream(rate_hz=50)
for start in range(0, len(samples), 25):  # half a second at a time, as a sensor would give it
    for scores in stream(samples[start : start + 25]):
        print(f"second {start / 50:g}: class {int(np.argmax(scores))}")
