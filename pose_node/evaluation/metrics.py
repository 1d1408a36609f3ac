"""Pose errors as in the BOP challenge, in metres, radians and pixels.

Every function takes T_est and T_gt as T_camera_object [4, 4] and, for symmetric objects, the motions S [K, 4, 4] of the object
onto itself (the identity among them): T_gt @ S is as correct as T_gt.

Definitions: Hodan et al., "BOP Challenge 2020 on 6D object localization", and Hinterstoisser et al., "Model based
training, detection and pose estimation of texture-less 3D objects in heavily cluttered scenes" (ADD, ADD-S).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull, QhullError, cKDTree

from pose_node.arrays import Array
from pose_node.geometry import se3

VSD_TAUS = tuple(float(tau) for tau in np.arange(0.05, 0.51, 0.05))  # relative to the diameter, as in bop_toolkit
VSD_DELTA_M = 0.015  # of the BOP challenge, for all sets but those of ``VSD_DELTAS_M``
VSD_DELTAS_M = {"itodd": 0.005}  # by the set's name
MAX_SYMMETRY_STEP = 0.01  # of a half-turn's arc over the radius, as bop_toolkit discretises continuous symmetries
_CHUNK = 1_000_000  # numbers in memory at once while all symmetric poses are compared
_PRUNE_ABOVE = 50_000  # points times symmetric poses above which most poses are first excluded by a few points


def axis_rotations(direction: Array, origin_m: Array, max_step: float = MAX_SYMMETRY_STEP) -> Array:
    """Rotations about the line through ``origin_m`` [3] along ``direction`` [3], evenly spaced, the identity first: [K, 4, 4].

    K = ceil(pi / max_step), so that neighbours move a surface point by at most ``max_step`` of the diameter.
    """
    count = int(np.ceil(np.pi / max_step))
    axis = np.asarray(direction, float) / np.linalg.norm(direction)
    R = se3.exp_so3(np.arange(count)[:, None] * (2.0 * np.pi / count) * axis)
    origin = np.asarray(origin_m, float)
    return se3.transform(R, origin - R @ origin)


def bop_symmetries(info: Mapping[str, Any], suffix: str = "", max_step: float = MAX_SYMMETRY_STEP) -> Array:
    """The motions [K, 4, 4] in metres that one entry of a BOP ``models_info.json`` (millimetres) declares.

    Reads ``symmetries_discrete`` (4x4, row-major) and ``symmetries_continuous`` (axis, offset). With suffix "_depth" it
    reads ``symmetries_depth`` and ``symmetries_depth_continuous`` beside them: motions that depth cannot resolve.
    Continuous symmetries are discretised and combined with every discrete one. Raises ValueError on another suffix.
    """
    if suffix not in ("", "_depth"):
        raise ValueError(f"suffix: found {suffix!r}, expected '' or '_depth'.")
    discrete_mm = [np.eye(4), *_as_matrices(info.get("symmetries_discrete", ()))]
    lines = list(info.get("symmetries_continuous", ()))
    if suffix:
        discrete_mm += _as_matrices(info.get("symmetries_depth", ()))
        lines += [line for line in info.get("symmetries_depth_continuous", ()) if not _among(line, lines)]
    discrete = np.stack(discrete_mm)
    discrete[:, :3, :3] = se3.project_so3(discrete[:, :3, :3])  # files have few digits
    discrete[:, :3, 3] /= 1000.0
    if not lines:
        return discrete
    rotations = np.concatenate(
        [axis_rotations(line["axis"], np.asarray(line["offset"], float) / 1000.0, max_step) for line in lines]
    )
    return (rotations[None] @ discrete[:, None]).reshape(-1, 4, 4)


def hull_points(points: Array) -> Array:
    """The corners of the convex hull of points [N, 3]: [H, 3].

    The distance of a point between two poses is a convex function of the point, so its maximum over a model is at one of
    these: MSSD over them equals MSSD over all vertices.
    """
    try:
        return points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # flat or tiny models have no hull
        return points


def add(points: Array, T_est: Array, T_gt: Array) -> float:
    """Mean distance in metres between points [N, 3] at the two poses."""
    return float(np.linalg.norm(se3.apply(T_est, points) - se3.apply(T_gt, points), axis=1).mean())


def adds(points: Array, T_est: Array, T_gt: Array) -> float:
    """Mean distance in metres from the points [N, 3] at the true pose to the nearest one at the estimated pose (ADD-S)."""
    distance, _ = cKDTree(se3.apply(T_est, points)).query(se3.apply(T_gt, points))
    return float(distance.mean())


def mssd(points: Array, T_est: Array, T_gt: Array, symmetries: Array) -> float:
    """Maximum surface distance in metres over points [N, 3], at the symmetric pose where it is least."""
    return _least_mssd(points, T_est, T_gt, symmetries)[0]


def nearest_pose(points: Array, T_est: Array, T_gt: Array, symmetries: Array) -> Array:
    """The T_gt @ S [4, 4] of least MSSD."""
    return T_gt @ symmetries[_least_mssd(points, T_est, T_gt, symmetries)[1]]


def mspd(points: Array, T_est: Array, T_gt: Array, symmetries: Array, K: Array) -> float:
    """Maximum distance in pixels between the projections of points [N, 3], at the symmetric pose where it is least.

    Infinite when the estimate puts a point behind the camera.
    """
    at_est = se3.apply(T_est, points)
    if (at_est[:, 2] <= 0).any():
        return float("inf")
    pixels_est = _project(at_est, K)
    errors = [np.linalg.norm(_project(se3.apply(T_gt @ S, points), K) - pixels_est, axis=1).max() for S in symmetries]
    return float(min(errors))


def vsd(
    depth_est_m: Array,
    depth_gt_m: Array,
    depth_m: Array,
    K: Array,
    diameter_m: float,
    taus: Sequence[float] = VSD_TAUS,
    delta_m: float = VSD_DELTA_M,
) -> Array:
    """Visible surface discrepancy in [0, 1] at each misalignment tolerance (a share of the diameter): [len(taus)].

    depth_est_m, depth_gt_m: [H, W] renderings of the model at the two poses, 0 outside; depth_m: [H, W] measured depth, 0 for
    no reading, which occludes nothing (BOP 2019). 1 at every tolerance where neither pose is visible.
    """
    drawn = np.nonzero((depth_est_m > 0) | (depth_gt_m > 0))  # other pixels do not count
    x, y = (drawn[1] - K[0, 2]) / K[0, 0], (drawn[0] - K[1, 2]) / K[1, 1]
    # Millimetres in single precision, as in bop_toolkit, so that a pixel at the tolerance is decided equally.
    est, gt, test = (_range_mm(1000.0 * depth[drawn], x, y) for depth in (depth_est_m, depth_gt_m, depth_m))
    delta, free = np.float32(1000.0 * delta_m), test == 0
    visible_gt = (gt > 0) & (free | (gt.astype(np.float32) - test.astype(np.float32) <= delta))
    visible_est = (est > 0) & (visible_gt | free | (est.astype(np.float32) - test.astype(np.float32) <= delta))
    both = visible_gt & visible_est
    union = int((visible_gt | visible_est).sum())
    if not union:
        return np.ones(len(taus))
    apart = np.abs(gt[both] - est[both]) / (1000.0 * diameter_m)
    wrong = np.array([(apart >= tau).sum() for tau in taus])
    return (wrong + union - both.sum()) / union


def rotation_error(T_est: Array, T_gt: Array, symmetries: Array) -> float:
    """Angle in radians between the two rotations, at the symmetric pose where it is least.

    For a discretised axis its resolution is the step: half a degree for ``MAX_SYMMETRY_STEP``.
    """
    return float(se3.angle(T_est[:3, :3].T @ (T_gt @ symmetries)[:, :3, :3]).min())


def translation_error(T_est: Array, T_gt: Array, symmetries: Array, centre_m: Array) -> float:
    """Distance in metres of ``centre_m`` [3] (object frame) between the poses, at the symmetric pose of least rotation error.
    An origin off the symmetry axis would move with the symmetry; the object's centre does not."""
    poses = T_gt @ symmetries
    T_near = poses[int(np.argmin(se3.angle(T_est[:3, :3].T @ poses[:, :3, :3])))]
    return float(np.linalg.norm(se3.apply(T_est, centre_m[None]) - se3.apply(T_near, centre_m[None])))


def _least_mssd(points: Array, T_est: Array, T_gt: Array, symmetries: Array) -> tuple[float, int]:
    """MSSD in metres: the least over K symmetric poses of the largest distance, and the index of that pose."""
    # |T_est x - T_gt S x| = |inv(T_gt) T_est x - S x|: small numbers, near the object's origin.
    moved = se3.apply(se3.invert(T_gt) @ T_est, points)
    if len(symmetries) * len(points) > _PRUNE_ABOVE:
        # A few points bound each distance from below; only poses with a bound below the best distance need all points.
        few = np.unique(np.linspace(0, len(points) - 1, 24).round().astype(int))
        bound = _largest(points[few], moved[few], symmetries)
        first = int(np.argmin(bound))
        left = np.flatnonzero(bound <= _largest(points, moved, symmetries[first : first + 1])[0])
    else:
        left = np.arange(len(symmetries))
    largest = _largest(points, moved, symmetries[left])
    best = int(np.argmin(largest))
    return float(largest[best]), int(left[best])


def _largest(points: Array, moved: Array, symmetries: Array) -> Array:
    """The largest distance between S x and ``moved``, for each S [K, 4, 4]: [K]."""
    step = max(1, _CHUNK // (3 * max(1, len(points))))
    chunks = (se3.apply(symmetries[i : i + step], points) - moved for i in range(0, len(symmetries), step))
    return np.concatenate([np.sqrt(np.einsum("knd,knd->kn", c, c).max(axis=1)) for c in chunks])


def _range_mm(depth_mm: Array, x: Array, y: Array) -> Array:
    """Depth along the axis [P] -> distance from the camera's centre; x and y: where the rays meet the plane z = 1."""
    return np.sqrt((x * depth_mm) ** 2 + (y * depth_mm) ** 2 + depth_mm**2)


def _project(points: Array, K: Array) -> Array:
    return points[:, :2] / points[:, 2:] @ K[:2, :2].T + K[:2, 2]


def _as_matrices(values: Any) -> list[Array]:
    return [np.array(v, float).reshape(4, 4) for v in values]


def _among(line: Mapping[str, Any], lines: list[Mapping[str, Any]]) -> bool:
    """Whether the same axis, up to rounding in files, is among ``lines``."""
    for other in lines:
        a, b = (np.asarray(x["axis"], float) / np.linalg.norm(x["axis"]) for x in (line, other))
        apart = np.asarray(line["offset"], float) - np.asarray(other["offset"], float)
        if np.linalg.norm(np.cross(a, b)) < 1e-3 and np.linalg.norm(apart - apart @ a * a) < 0.05:
            return True
    return False
