import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.acquisition.linux_iio.scan import Element, Scan, parse_type


@pytest.mark.parametrize(
    ("text", "element"),
    [
        ("le:s12/16>>4", Element(False, True, 12, 16, 4)),
        ("be:u24/32>>8\n", Element(True, False, 24, 32, 8)),
        ("le:s64/64>>0", Element(False, True, 64, 64, 0)),
        ("le:u8/8X1>>0", Element(False, False, 8, 8, 0)),
    ],
)
def test_types_as_the_kernel_writes_them(text: str, element: Element) -> None:
    assert parse_type(text) == element


@pytest.mark.parametrize("text", ["", "s12/16>>4", "le:s12/12>>0", "le:s12/16>>8", "le:s0/16>>0", "le:s16/16X3>>0"])
def test_other_types_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"type such as|do not fit|not supported"):
        parse_type(text)


def test_elements_are_aligned_to_their_size_and_the_sample_to_the_largest() -> None:
    scan = Scan(
        [parse_type("be:s12/16>>4"), parse_type("le:u32/32>>0"), parse_type("le:s8/8>>0"), parse_type("le:s64/64>>0")]
    )
    data = (
        struct.pack(">h", -5 << 4) + b"\xff\xff" + struct.pack("<I", 7) + b"\xfe" + b"\xff" * 7 + struct.pack("<q", -9)
    )

    assert scan.size == 24
    assert scan.decode(data * 3).tolist() == [[-5, 7, -2, -9]] * 3


def test_a_lone_pair_has_no_padding() -> None:
    assert Scan([parse_type("le:s16/16>>0")] * 3).size == 6
    assert Scan([parse_type("le:s16/16>>0")] * 3 + [parse_type("le:s64/64>>0")]).size == 16


@given(st.sampled_from([8, 16, 32, 64]), st.data())
def test_every_number_comes_back(storage: int, data: st.DataObject) -> None:
    bits = data.draw(st.integers(1, storage))
    shift = data.draw(st.integers(0, storage - bits))
    signed = data.draw(st.booleans())
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    value = data.draw(st.integers(low, high))
    junk = data.draw(st.integers(0, (1 << storage) - 1))
    mask = ((1 << bits) - 1) << shift
    word = (junk & ~mask) | ((value << shift) & mask)
    for order, name in (("be", "big"), ("le", "little")):
        scan = Scan([parse_type(f"{order}:{'s' if signed else 'u'}{bits}/{storage}>>{shift}")])

        assert scan.decode(word.to_bytes(storage // 8, name)).tolist() == [[float(np.float64(value))]]  # type: ignore[arg-type]
