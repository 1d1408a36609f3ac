"""Clebsch-Gordan tensors of SO(3), computed by escnn and shipped as ``coupling_table.npz``; training and export need the file alone.

escnn computes them with py3nj (Fortran source) and lie_learn (numpy 1). Nobody who trains should need either, so they are
computed once:

    pip install -e '.[escnn]' && python -m pose_node.learning.coupling_table

Tests hold the file against escnn's irreps, for which ``script/setup all`` installs escnn without py3nj, against
``pose_node.geometry.harmonics``, and number by number against escnn where the extra is installed.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.harmonics import MAX_DEGREE

TABLE_FILE = Path(__file__).with_suffix(".npz")
MAX_RIGHT_DEGREE = 2  # the network's products have no higher degree on their right


def clebsch_gordan(left: int, right: int, out: int) -> Array:
    """Tensor [2 left + 1, 2 right + 1, 2 out + 1] of the product left (x) right -> out, in the basis of ``solid_harmonics``.

    Raises KeyError when the degrees break the triangle rule or exceed ``MAX_DEGREE`` (``MAX_RIGHT_DEGREE`` on the right).
    """
    return _table()[_key(left, right, out)]


def compute_table() -> dict[str, Array]:
    """All tensors by key, computed by escnn."""
    from escnn.group import so3_group

    group = so3_group(MAX_DEGREE)
    degrees = range(MAX_DEGREE + 1)
    return {
        # escnn's third axis counts the copies of ``out`` in the product: one for SO(3).
        _key(left, right, out): group._clebsh_gordan_coeff((left,), (right,), (out,))[:, :, 0, :]
        for left in degrees
        for right in range(MAX_RIGHT_DEGREE + 1)
        for out in degrees
        if abs(left - right) <= out <= left + right
    }


def _key(left: int, right: int, out: int) -> str:
    return f"{left}x{right}_{out}"


@lru_cache(maxsize=1)
def _table() -> dict[str, Array]:
    with np.load(TABLE_FILE) as file:
        return dict(file)


if __name__ == "__main__":
    np.savez_compressed(TABLE_FILE, **compute_table())
    print(TABLE_FILE)
