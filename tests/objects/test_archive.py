"""Archives of arrays: what is missing, unknown or of another shape is named."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.errors import CardError
from pose_node.objects.archive import read_arrays

SHAPES = {"a": (-1, 3), "b": ()}


def test_arrays_are_read_by_name(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones((4, 3)), b=np.array(2))
    found = read_arrays(tmp_path / "x.npz", SHAPES, "numbers")
    assert found["a"].shape == (4, 3) and found["b"] == 2


@pytest.mark.parametrize("a", [np.ones((4, 2)), np.ones(3), np.ones((0, 3))])
def test_another_shape_is_refused(tmp_path, a):
    np.savez(tmp_path / "x.npz", a=a, b=np.array(2))
    with pytest.raises(CardError, match=r"a has shape .*, expected \(N, 3\)\.$"):
        read_arrays(tmp_path / "x.npz", SHAPES, "numbers")


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object), b=np.array(2))
    with pytest.raises(CardError, match="cannot be read"):
        read_arrays(tmp_path / "x.npz", SHAPES, "numbers")
