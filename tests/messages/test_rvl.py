"""RVL unpacks to what an encoder after Wilson's description packed, and never fails in another way than a ValueError."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rvl_packing import pack_rvl

from pose_node.messages.rvl import unpack_rvl


@given(arrays(np.uint16, st.integers(1, 60), elements=st.sampled_from([0, 0, 0, 1, 2, 700, 703, 32768, 65535])))
def test_unpacking_inverts_packing(values):
    np.testing.assert_array_equal(unpack_rvl(pack_rvl(values), len(values)), values)


def test_a_typical_depth_image(rng):
    values = np.cumsum(rng.integers(-3, 4, (60, 80)), axis=1) + 800
    values[rng.random(values.shape) < 0.1] = 0
    values[:5] = 0
    np.testing.assert_array_equal(unpack_rvl(pack_rvl(values), values.size), values.ravel())


@given(st.binary(max_size=80), st.integers(1, 5000))
def test_any_bytes_give_values_or_a_value_error(data, count):
    try:
        assert len(unpack_rvl(data, count)) == count
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("keep", [0, 4, 40])
def test_data_that_end_early_are_refused(keep):
    packed = pack_rvl(np.arange(1, 200, dtype=np.uint16))
    with pytest.raises(ValueError, match="pixels"):
        unpack_rvl(packed[:keep], 199)
