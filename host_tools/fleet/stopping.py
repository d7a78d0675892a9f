"""How a command ends that runs until somebody ends it: Ctrl-C, and SIGTERM as from systemd, are its good end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def until_stopped() -> Iterator[None]:
    """Run the block until a signal ends it; it sees a ``KeyboardInterrupt``, whoever is behind the block none."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
