"""``python -m edge_agent.sensing < config.json``: read one sensor, store a sample of its data, and serve other readers.

It can write to its own folder and to devices, and use TCP only if the sensor's kind may need it. It reads its
configuration (:class:`edge_agent.settings.sharing.SensorProcessConfig`) from standard input. It writes a JSON line
(:class:`edge_agent.settings.sharing.SourceState`) to standard output on every change, and every ten seconds. Exit 0:
it was asked to end; 2: the configuration is invalid; 75: the folder is unusable, or the kernel refuses to confine it.
A bug of ours ends it with a traceback on standard error (1).
"""

import signal
import sys
from pathlib import Path

import msgspec

from edge_agent.errors import EdgeAgentError
from edge_agent.process.confinement import confine_sensor
from edge_agent.sensing.process import run
from edge_agent.settings.sensor_needs import devices_elsewhere, socket_families
from edge_agent.settings.sharing import SensorProcessConfig
from edge_agent.strict import UNDECODABLE

EXIT_USAGE, EXIT_FOLDER = 2, 75
_FOLDER_MODE = 0o750
_OF_THE_KERNEL = ("landlock", "seccomp")
"""Prefixes of the layers that a kernel may lack; all other layers are always active."""


def main() -> int:
    """Run with the configuration on standard input; return the exit code."""
    try:
        config = msgspec.json.decode(sys.stdin.buffer.read(), type=SensorProcessConfig)
    except UNDECODABLE as error:
        sys.stderr.write(f"edge_agent.sensing: no configuration on standard input: {error}\n")
        return EXIT_USAGE
    try:
        folder = Path(config.folder)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(_FOLDER_MODE)
        held = confine_sensor(
            write=[folder],
            families=socket_families(config.table),
            devices=devices_elsewhere(config.table),
            death=signal.SIGTERM,
        )
        run(config, confined=[layer for layer in held if layer.startswith(_OF_THE_KERNEL)])
    except (EdgeAgentError, OSError) as error:
        sys.stderr.write(f"edge_agent.sensing {config.name}: {error}\n")
        return EXIT_FOLDER
    return 0


if __name__ == "__main__":
    sys.exit(main())
