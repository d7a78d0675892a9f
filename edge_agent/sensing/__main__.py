"""``python -m edge_agent.sensing < orders.json``: read one sensor for good, keep a sample of it, let others read along.

The orders (:class:`edge_agent.shared.Orders`) come on standard input; standard output carries a JSON line
(:class:`edge_agent.shared.SourceState`) whenever something changes, and every ten seconds. Exit 0: it was asked to end;
2: the orders are none; 70: a bug of ours; 75: the folder cannot be used.
"""

import signal
import sys
from pathlib import Path

import msgspec

from edge_agent.errors import EdgeAgentError
from edge_agent.sandbox import confine
from edge_agent.sensing.process import run
from edge_agent.shared import Orders

EXIT_USAGE, EXIT_FOLDER = 2, 75
_FOLDER_MODE = 0o750


def main() -> int:
    """Read the orders and obey them; returns the exit code."""
    try:
        orders = msgspec.json.decode(sys.stdin.buffer.read(), type=Orders)
    except msgspec.DecodeError as error:
        sys.stderr.write(f"edge_agent.sensing: no orders on standard input: {error}\n")
        return EXIT_USAGE
    try:
        confine(death=signal.SIGTERM)
        folder = Path(orders.folder)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(_FOLDER_MODE)
        run(orders)
    except (EdgeAgentError, OSError) as error:
        sys.stderr.write(f"edge_agent.sensing {orders.name}: {error}\n")
        return EXIT_FOLDER
    return 0


if __name__ == "__main__":
    sys.exit(main())
