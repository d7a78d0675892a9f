"""The embedded broker's process: ``python -P broker_child.py RUMQTTD_TOML``. Ends when its stdin closes.

It imports nothing from this project, so it starts wherever the parent's modules came from.
"""

import logging
import os
import resource
import sys
import threading

from iotcore import Broker


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(config: str) -> None:
    """Serve until stdin closes."""
    logging.basicConfig(level=logging.WARNING)
    # rumqttd routes every packet inside spans of level error, so its log at any level is a copy of the traffic.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is an open file
    threading.Thread(target=_end_with_parent, daemon=True).start()
    Broker(config_path=config).run_forever()


if __name__ == "__main__":
    main(sys.argv[1])
