"""Decides whether an optimised form is worth its bytes on the disk. Pure."""

from typing import Final

from edge_agent.wire.manifest import Gates
from edge_agent.worker.measure.memory import SAME_BYTES, Memory

_SHARE: Final = 0.1
_LEAST_MS: Final = 10.0
"""Loading times differ by less than this from one process to the next."""


def gains(model: Memory, form: Memory) -> bool:
    """Whether the form saves at least 10 % of memory or of loading time, and more than measurements vary.

    Memory is the steady memory or the peak, over the empty runtime.
    """
    return (
        _less(model.steady_rss_bytes, form.steady_rss_bytes, SAME_BYTES)
        or _less(model.model_rss_bytes, form.model_rss_bytes, SAME_BYTES)
        or _less(model.load_ms, form.load_ms, _LEAST_MS)
    )


def small_enough(gates: Gates, *, float_bytes: int, model_bytes: int, form_bytes: int) -> bool:
    """Whether a candidate passes the gates of size with its form as it did without; both files count.

    Time and memory are proved only later, so a sufficient gain in size is never spent on a form.
    """
    without, both = model_bytes / float_bytes, (model_bytes + form_bytes) / float_bytes
    asked = gates.min_gain.size
    gain_lost = bool(asked) and 1.0 - without >= asked > 1.0 - both
    return not gain_lost and (not gates.max_size_ratio or both <= gates.max_size_ratio)


def _less(model: float, form: float, least: float) -> bool:
    return model - form >= max(least, _SHARE * model)
