"""A segment's sample -> the network's input. The only preparation code: banks are made with it too, so that both stay the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.measurement.sampling import Sample, sample_segment


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A network's input for one segment: lengths in object diameters, origin at ``centre_m``.

    points, normals: [N, 3] float32, N distinct points.
    viewpoint:       [3] float32.
    centres:         [M] int64, rows of ``points`` in farthest-point order.
    centre_m:        [3] the origin in the cloud's frame.
    scale_m:         the object's diameter.
    """

    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    viewpoint: NDArray[np.float32]
    centres: NDArray[np.int64]
    centre_m: Array
    scale_m: float

    def inputs(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """The network's input arrays, in the order of ``backbone.INPUTS``."""
        return self.points, self.normals, self.viewpoint, self.centres

    def centres_m(self) -> Array:
        """The centres [M, 3] in the cloud's frame."""
        return self.points[self.centres].astype(np.float64) * self.scale_m + self.centre_m


def scaled(sample: Sample, diameter_m: float) -> Prepared:
    """A sample as the network's input for an object of ``diameter_m``."""
    return Prepared(
        (sample.points / diameter_m).astype(np.float32),
        sample.normals.astype(np.float32),
        (sample.viewpoint / diameter_m).astype(np.float32),
        sample.centres,
        sample.centre_m,
        float(diameter_m),
    )


def prepare(points_m: Array, viewpoint_m: Array, diameter_m: float) -> Prepared:
    """Prepare the points [M, 3] of a segment seen from ``viewpoint_m`` [3] for an object of ``diameter_m``."""
    return scaled(sample_segment(points_m, viewpoint_m), diameter_m)
