"""How sure a refined pose is: from the curvature of the fit, the sensor's noise, and what the object's shape hides."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import rotate_covariance
from pose_node.geometry.symmetry import Axis
from pose_node.objects.card import ObjectCard

UNIFORM_RAD2 = np.pi**2 / 3.0  # variance of an angle about which nothing is known
_CORRELATION_M = 0.006  # residuals nearer to each other than this err together at least: the mesh's dents
_ALIKE_M = 0.015  # pairs nearer than this tell how alike neighbours' errors are
_PAIRED = 256  # points of which all pairs are looked at
_LEAST_INDEPENDENT = 6.0
_FAKED_RAD = (0.07, 0.1)  # about its axis a mug's body shows 0.05, and with the handle in view 0.13
_FLOOR_M = 0.0005  # intrinsics and mesh are not better than this, plus _FLOOR_PER_M a metre of range
_FLOOR_PER_M = 0.001
_FLOOR_RAD = 0.004
_DEPTH_M = 0.00115  # a depth camera's offset, within 2 mm, and its scale, within 0.5 %: as standard deviations
_DEPTH_PER_M = 0.0029


def noise_sigma(range_m: float) -> float:
    """Axial noise in metres of a consumer depth camera at ``range_m``."""
    return 0.0005 + 0.0015 * range_m**2


def floor(range_m: float) -> Array:
    """Covariance [6, 6] that no number of looks makes smaller, alike in all axes: of the camera's intrinsics and the mesh."""
    return np.diag([(_FLOOR_M + _FLOOR_PER_M * range_m) ** 2] * 3 + [_FLOOR_RAD**2] * 3)


def depth_bias(away_m: Array) -> Array:
    """What the camera's calibration adds to depth, one standard deviation along the line of sight: [3] metres.

    away_m: [3] from the viewpoint to what is seen. One camera errs alike in all its looks, and so the more of it cancels, the
    more the lines of sight differ.
    """
    range_m = float(np.linalg.norm(away_m))
    size_m = np.hypot(_DEPTH_M, _DEPTH_PER_M * range_m)
    return away_m * (size_m / max(range_m, 1e-9))


def biased(covariance: Array, bias: Array) -> Array:
    """``covariance`` [6, 6] with one more error, of one standard deviation ``bias``: [3] of the position, or [6] of the pose."""
    whole = covariance.copy()
    whole[: len(bias), : len(bias)] += np.outer(bias, bias)
    return whole


def independent_points(x: Array, residual: Array, weight: Array, count: int, diameter_m: float) -> float:
    """How many independent measurements residuals [N] at surface points x [N, 3] (object frame) of ``weight`` [N] stand for.

    Errors of neighbouring readings are alike, for the sensor matches windows and the mesh has dents: the more alike, the
    fewer they are. ``count`` points were measured, of which x is a sample. (Effective sample size: n^2 over the sum of all
    pairs' correlations, those of near pairs estimated from the residuals themselves.)
    """
    rows = np.flatnonzero(weight > 0.0)
    rows = rows[:: max(len(rows) // _PAIRED, 1)]
    if len(rows) < 2:
        return _LEAST_INDEPENDENT
    places, r = x[rows] - x[rows[0]], residual[rows]
    square = np.einsum("ni,ni->n", places, places)
    near = square[:, None] + square - 2.0 * places @ places.T < _ALIKE_M**2
    variance = float(r @ r)
    alike = max(float(r @ near.astype(float) @ r) - variance, 0.0) / max(variance, 1e-18) / len(rows)
    most = _area(x, diameter_m) / _CORRELATION_M**2
    return float(np.clip(1.0 / (alike + 1.0 / max(count, 1)), _LEAST_INDEPENDENT, max(most, _LEAST_INDEPENDENT)))


def pose_covariance(
    T: Array, x: Array, gradient: Array, weight: Array, point_information: float, away_m: Array, card: ObjectCard
) -> tuple[Array, Array]:
    """Information and covariance, both [6, 6] in the cloud's axes at the object's origin (see ``types.Estimate``).

    T: [4, 4]. x, gradient: [N, 3] points and surface normals in the object frame; weight: [N], each times
    ``point_information`` (1/m^2) what one of them tells. away_m: [3] from the viewpoint to the object.
    """
    centre = (weight @ x) / max(float(weight.sum()), 1e-12)
    arm = (x - centre) / card.diameter_m
    J = np.concatenate([gradient, np.cross(arm, gradient)], axis=1)  # for a step of the object, up to the sign
    A = (J * weight[:, None]).T @ J
    value, vector, share = real_curvature(
        A[None], weight.sum()[None], ((arm * weight[:, None]).T @ arm)[None], _FAKED_RAD
    )
    # Row i of the inverse of the matrix of ``vector`` measures how much of a step lies along direction i.
    along = np.linalg.inv(vector[0])
    known = along.T @ ((share[0] * value[0])[:, None] * along)
    # From turns about the points' centre, in diameters, to turns about the origin, in radians and metres.
    cx, cy, cz = centre
    shift = np.array([[0.0, cz, -cy], [-cz, 0.0, cx], [cy, -cx, 0.0]])
    to_centre = np.block([[np.eye(3), shift], [np.zeros((3, 3)), card.diameter_m * np.eye(3)]])
    information, known = (point_information * to_centre.T @ M @ to_centre for M in (A, known))
    covariance = rotate_covariance(T[:3, :3], _invert(known, card) + floor(float(np.linalg.norm(away_m))))
    return rotate_covariance(T[:3, :3], information), biased(covariance, depth_bias(away_m))


def real_curvature(A: Array, total: Array, r2: Array, faked_rad: tuple[float, float]) -> tuple[Array, Array, Array]:
    """Directions [B, 6, 6] (columns) that fits do not mix, their curvatures [B, 6], and the share [B, 6] of each that is real.

    A: [B, 6, 6] normal equations of point-to-plane fits about the points' own centre. total: [B] sum of the weights;
    r2: [B, 3, 3] weighted scatter of the points. About the axis of a bowl, or of a mug whose handle is hidden, normals that
    err at random show some curvature: a curvature is in units of what normals would show that all point along the step, so
    its root is the error of the normals, in radians, that would fake it. faked_rad: none of what has a smaller root than the
    first is real, all that has a larger one than the second.
    """
    fake = np.zeros((len(A), 6, 6))
    fake[:, :3, :3] = (total + 1e-12)[:, None, None] * np.eye(3)
    fake[:, 3:, 3:] = (np.trace(r2, axis1=1, axis2=2) + 1e-12)[:, None, None] * np.eye(3) - r2
    root = np.linalg.inv(np.linalg.cholesky(fake))
    value, vector = np.linalg.eigh(root @ A @ np.swapaxes(root, -1, -2))
    low, high = np.square(faked_rad)
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return value, np.swapaxes(root, -1, -2) @ vector, share * share * (3.0 - 2.0 * share)


def widen(covariance: Array, T: Array, axis: Axis, variance_rad2: float) -> Array:
    """``covariance`` with turns about ``axis`` (object frame) known to ``variance_rad2`` and no better."""
    direction = T[:3, :3] @ axis.direction
    arm = T[:3, :3] @ axis.origin_m
    mode = np.concatenate([np.cross(arm, direction), direction])  # dt keeps the points of the axis where they are
    have = direction @ covariance[3:, 3:] @ direction
    more = max(min(variance_rad2, UNIFORM_RAD2) - have, 0.0)
    return covariance + more * np.outer(mode, mode)


def _invert(information: Array, card: ObjectCard) -> Array:
    """Covariance in the object frame; rotations that nothing fixes get the uniform variance and the shift that follows."""
    prior_t = np.eye(3) / (0.5 * card.diameter_m) ** 2
    A_tt = information[:3, :3] + prior_t
    A_tr = information[:3, 3:]
    inverse_tt = np.linalg.inv(A_tt)
    S = information[3:, 3:] - A_tr.T @ inverse_tt @ A_tr
    value, vector = np.linalg.eigh((S + S.T) / 2.0)
    variance = 1.0 / np.maximum(value, 1.0 / UNIFORM_RAD2)
    C_rr = (vector * variance) @ vector.T
    G = -inverse_tt @ A_tr
    C = np.block([[inverse_tt + G @ C_rr @ G.T, G @ C_rr], [C_rr @ G.T, C_rr]])
    for axis in card.symmetry.axes:
        C = widen(C, np.eye(4), axis, UNIFORM_RAD2)
    return C


def _area(x: Array, diameter_m: float) -> float:
    """Rough area in square metres that the points [N, 3] cover: occupied cells of the object frame."""
    cell = diameter_m / 20.0
    place = np.floor(x / cell).astype(np.int64)
    place -= place.min(axis=0)
    return len(np.unique(np.ravel_multi_index(tuple(place.T), tuple(place.max(axis=0) + 1)))) * cell * cell
