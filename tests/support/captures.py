"""Contexts, models and sources for whoever tests the capture stage and what reads its sets."""

import os
import threading
import tty
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.backends import ModelInfo, TensorSpec
from edge_agent.jobs.task import Stage, Task
from edge_agent.worker.context import Context

CHANNELS = ["ax", "ay", "az"]


def model_info(
    inputs: Mapping[str, tuple[str, tuple[int | None, ...]]],
    outputs: Mapping[str, tuple[str, tuple[int | None, ...]]] | None = None,
) -> ModelInfo:
    """A model of these inputs and outputs, name → (type, shape)."""
    return ModelInfo(
        format="onnx",
        inputs=tuple(TensorSpec(name, dtype, shape) for name, (dtype, shape) in inputs.items()),
        outputs=tuple(TensorSpec(name, dtype, shape) for name, (dtype, shape) in (outputs or {}).items()),
        operators={},
        version="opset 17",
        size_bytes=1,
    )


def context(job_dir: Path, task: Task, sink: Callable[[float, str, float | None], None] | None = None) -> Context:
    """The capture stage in ``job_dir``, its folder made."""
    out_dir = job_dir / "capture.tmp"
    out_dir.mkdir(parents=True, exist_ok=True)
    return Context(job_dir=job_dir, out_dir=out_dir, task=task, stage=Stage.CAPTURE, sink=sink or (lambda *_: None))


def motion(samples: int, channels: int = 3, *, seed: int = 0) -> np.ndarray:
    """Noisy movement ``[samples, channels]`` float32 in steps of 0.001, as a small sensor prints it."""
    random = np.random.default_rng(seed)
    time = np.arange(samples)[:, None] / 50
    waves = sum(np.sin(2 * np.pi * random.uniform(0.2, 3, channels) * time + random.uniform(0, 6)) for _ in range(3))
    return np.round(waves + random.normal(0, 0.05, (samples, channels)), 3).astype(np.float32)


def csv_lines(samples: np.ndarray, end: str = "\n") -> bytes:
    """One line of decimals a sample."""
    return "".join(",".join(f"{value:.3f}" for value in row) + end for row in samples).encode()


class Terminal:
    """A pseudo-terminal whose slave is a sensor's port; ``write`` is what the sensor sends."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.plug()

    def plug(self) -> None:
        """Open a terminal behind the link."""
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(slave))
        self._slave = slave

    def unplug(self) -> None:
        """Pull the cable."""
        self.link.unlink()
        os.close(self._slave)
        os.close(self._master)

    def write(self, data: bytes) -> None:
        """Send ``data``; waits for the reader when the terminal's buffer is full."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._master, view) :]

    def write_later(self, data: bytes) -> threading.Thread:
        """Send ``data`` from a thread of its own."""
        thread = threading.Thread(target=self.write, args=(data,), daemon=True)
        thread.start()
        return thread


def serial_table(port: Path, **options: Any) -> dict[str, Any]:
    """A ``[sources.NAME]`` table."""
    return {"kind": "serial", "port": str(port), "channels": CHANNELS, "rate_hz": 50, **options}
