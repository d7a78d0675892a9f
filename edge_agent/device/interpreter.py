"""The address width of this Python. A 32-bit one can neither quantize nor run a model, even on a 64-bit processor.

The processor's name does not show it: a 64-bit kernel below a 32-bit system reports aarch64.
"""

import struct

from edge_agent.errors import ConfigError

ENOUGH_BITS = 64
NO_WHEELS = (
    "numpy, onnxruntime and LiteRT have no 32-bit wheels: install the 64-bit system on this board "
    "(getconf LONG_BIT then prints 64)"
)


def address_bits() -> int:
    """Return the width of this interpreter's addresses, in bits."""
    return struct.calcsize("P") * 8


def require_64_bit() -> None:
    """Raise ``ConfigError`` (usage) in an interpreter without runtimes."""
    bits = address_bits()
    if bits < ENOUGH_BITS:
        raise ConfigError("usage", f"this Python is a {bits}-bit one; {NO_WHEELS}")
