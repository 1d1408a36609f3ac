"""Bodies put together: wound outward, turned, moved, joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array
from pose_node.learning.mesh_building import Body, join


def outward(body: Body) -> Body:
    """The body with its faces wound outward."""
    vertices, faces = body
    a, b, c = (vertices[faces[:, i]] - vertices[0] for i in range(3))
    inward = np.einsum("ij,ij->", a, np.cross(b, c)) < 0
    return vertices, faces[:, ::-1] if inward else faces


def together(*bodies: Body) -> Body:
    """Several bodies as one, each wound outward; surfaces inside of another body are kept."""
    return join(*(outward(b) for b in bodies))


def moved(body: Body, shift: Sequence[float] | Array = (0, 0, 0), turn: Array | None = None) -> Body:
    """The body turned by a matrix [3, 3], then shifted."""
    vertices, faces = body
    return (vertices if turn is None else vertices @ turn.T) + np.asarray(shift, float), faces


def turn_about(axes: str, *degrees: float) -> Array:
    """A rotation matrix from angles about fixed axes, e.g. ``turn_about("xz", 90, 30)``: first about x."""
    return Rotation.from_euler(axes, degrees if len(axes) > 1 else degrees[0], degrees=True).as_matrix()


def towards(direction: Array, roll: float = 0.0) -> Array:
    """A rotation matrix whose z axis is the (unit) direction, and whose x axis lies near a main axis for ``roll`` 0."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    x = helper - direction * (direction @ helper)
    x /= np.linalg.norm(x)
    y = np.cross(direction, x)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * x + s * y, c * y - s * x, direction], axis=1)


def extent(body: Body) -> tuple[Array, Array]:
    """Lowest and highest corner [3] of the bounding box."""
    return body[0].min(axis=0), body[0].max(axis=0)
