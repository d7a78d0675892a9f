from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_agent.worker.data.float_outputs import OutputStore

ROWS = st.lists(
    st.sampled_from([np.float32, np.float64, np.int64, np.bool_]).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    ),
    max_size=6,
)


@settings(deadline=None)
@given(rows=ROWS)
def test_rows_of_any_shape_come_back_as_they_went_in(tmp_path_factory: object, rows: list[np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.bin"  # type: ignore[attr-defined]  # hypothesis knows no fixture types
    store = OutputStore(path)
    for row in rows:
        store.append(row)

    first, second = list(store), list(store)
    store.close()

    assert len(first) == len(second) == len(rows)
    for wanted, *got in zip(rows, first, second, strict=True):
        for one in got:
            assert (one.shape, one.dtype) == (wanted.shape, wanted.dtype)
            np.testing.assert_array_equal(one, wanted)
    assert not path.exists()


def test_rows_may_be_added_between_two_readings(tmp_path: Path) -> None:
    store = OutputStore(tmp_path / "rows.bin")
    store.append(np.arange(3))

    list(store)
    store.append(np.arange(4)[::2])

    assert [row.tolist() for row in store] == [[0, 1, 2], [0, 2]]
    store.close()
