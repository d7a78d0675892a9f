"""Whole jobs on a device with little memory: each ends, or refuses before capture with the numbers.

    sudo python tests/bench/small_memory.py DIR [--mib 512] [--only a,b]

For every ``NAME-float.onnx`` or ``.tflite`` in DIR with ``NAME-calibration.npz`` (and ``NAME-heldout.npz``):
``edge-agent quantize`` in a memory control group of its own, without swap. The kernel counts the cache of files that
the job maps, so the peak is at the limit where they are large; what matters is whether it killed anything.
Needs root, and a control group v1 or v2 that limits memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path("/sys/fs/cgroup")
V1 = ROOT / "memory"


@contextmanager
def limited(mib: int) -> Iterator[Path]:
    """A control group that may hold ``mib`` MiB."""
    folder = (V1 if V1.is_dir() else ROOT) / f"edge-agent-bench-{os.getpid()}"
    folder.mkdir()
    try:
        if V1.is_dir():
            (folder / "memory.limit_in_bytes").write_text(f"{mib}M")
        else:
            (folder / "memory.max").write_text(f"{mib}M")
            if (swap := folder / "memory.swap.max").exists():
                swap.write_text("0")
        yield folder
    finally:
        for _ in range(50):
            try:
                folder.rmdir()
                break
            except OSError:  # its last process is not gone yet
                time.sleep(0.1)


def kills(folder: Path) -> int:
    """How many processes the kernel ended for want of memory."""
    events = (folder / ("memory.oom_control" if V1.is_dir() else "memory.events")).read_text()
    return sum(int(line.split()[1]) for line in events.splitlines() if line.startswith("oom_kill "))


def job(model: Path, mib: int) -> tuple[dict[str, Any], int, float]:
    """The result object of one job, what the kernel killed meanwhile, and seconds."""
    name, suffix = model.name.removesuffix(f"-float{model.suffix}"), model.suffix
    heldout = model.with_name(f"{name}-heldout.npz")
    with tempfile.TemporaryDirectory() as out, limited(mib) as folder:
        command = [sys.executable, "-m", "edge_agent", "quantize", str(model), "--json", "--out", f"{out}/{suffix[1:]}"]
        command += ["--calibration", str(model.with_name(f"{name}-calibration.npz"))]
        command += ["--heldout", str(heldout)] if heldout.exists() else []
        began = time.monotonic()
        child = subprocess.run(
            ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(folder), *command],
            capture_output=True,
            text=True,
            check=False,
        )
        took, killed = time.monotonic() - began, kills(folder)
    if not child.stdout.strip():
        raise SystemExit(f"{model.name}: {child.stderr.strip()[-500:]}")
    return json.loads(child.stdout), killed, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    print(f"| model | MiB | end under {options.mib} MiB | seconds | killed |\n|---|--:|---|--:|--:|")
    for model in sorted(options.folder.glob("*-float.*")):
        name = model.name.removesuffix(f"-float{model.suffix}")
        if only and name not in only:
            continue
        found, killed, took = job(model, options.mib)
        end = " ".join(filter(None, [found["verdict"], found.get("code") or ""]))
        print(
            f"| {name}{model.suffix} | {model.stat().st_size / (1 << 20):.1f} | {end} | {took:.0f} | {killed} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
