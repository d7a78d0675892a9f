"""Lists the runtimes that work on this device: each is imported in its own process, which may crash.

    python -m edge_agent.worker.measure.inventory

Prints one JSON object: ``{"runtimes": {"onnxruntime": "1.32.0"}, "broken": {"ai-edge-litert": "… SIGILL"},
"formats": ["onnx"], "confinement": [...], "layers": {"worker": [...]}}``. ``confinement`` lists the mechanisms that
work on this device, ``layers`` those that apply to each kind of process. ``formats`` can be quantized on this device.
"""

import json
import sys
import tempfile
from pathlib import Path

from edge_agent.backends import FORMATS, load
from edge_agent.process.confinement import confine_opener
from edge_agent.process.kinds import layers_by_kind
from edge_agent.worker.measure.runtimes import probe_runtimes, unable


def main() -> int:
    """Probe the device, print the inventory, and return the exit code."""
    backends = {model_format: load(model_format) for model_format in FORMATS.values()}
    found = {model_format: probe_runtimes(backend) for model_format, backend in backends.items()}
    with tempfile.TemporaryDirectory() as folder:
        layers = layers_by_kind(Path(folder))
    print(
        json.dumps(
            {
                "runtimes": {name: version for one in found.values() for name, version in one.works.items()},
                "broken": {name: why for one in found.values() for name, why in one.broken.items()},
                "formats": [name for name, one in found.items() if not unable(backends[name], one)],
                "confinement": confine_opener(),
                "layers": layers,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
