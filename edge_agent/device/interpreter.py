"""What kind of Python this is. A 32-bit one can neither quantize nor run a model, whatever the processor can.

The processor's name does not tell: a 64-bit kernel under a 32-bit system calls itself aarch64.
"""

import struct

from edge_agent.errors import ConfigError

ENOUGH_BITS = 64
NO_WHEELS = (
    "numpy, onnxruntime and LiteRT have no 32-bit wheels: install the 64-bit system on this board "
    "(getconf LONG_BIT then says 64)"
)


def address_bits() -> int:
    """The width of this interpreter's addresses, in bits."""
    return struct.calcsize("P") * 8


def require_64_bit() -> None:
    """Raise ``ConfigError`` (usage) in an interpreter for which there are no runtimes."""
    bits = address_bits()
    if bits < ENOUGH_BITS:
        raise ConfigError("usage", f"this Python is a {bits}-bit one; {NO_WHEELS}")
