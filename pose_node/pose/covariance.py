"""Covariance of a refined pose: from the curvature of the fit, the sensor's noise, and what the object's shape leaves open."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import rotate_covariance
from pose_node.geometry.symmetry import Axis
from pose_node.measurement.sensor import Sensor
from pose_node.objects.card import ObjectCard
from pose_node.pose.error_model import add_bias, depth_bias, shared_covariance

UNIFORM_RAD2 = np.pi**2 / 3.0  # variance of an angle about which nothing is known
_NEIGHBOUR_REL = 0.1  # of the diameter: the correlation of neighbours is estimated from pairs nearer than this
_PAIRED = 256  # points of which all pairs are evaluated
_MIN_EFFECTIVE = 6.0
_SPURIOUS_RAD = (0.07, 0.1)  # about its axis a mug's body shows 0.05, and with the handle in view 0.13


def effective_count(
    x: Array, residual: Array, weight: Array, count: int, diameter_m: float, correlation_m: float
) -> float:
    """Number of independent measurements that residuals [N] of ``weight`` [N] at surface points x [N, 3] amount to.

    Errors of neighbouring readings are correlated, because the sensor matches windows and the mesh has dents. This is the
    effective sample size, n^2 over the sum of all pairs' correlations, where the correlation of near pairs is estimated from
    the residuals themselves. x is in the object frame, a sample of ``count`` measured points. correlation_m: distance within
    which the sensor's readings are correlated in any case.
    """
    rows = np.flatnonzero(weight > 0.0)
    rows = rows[:: max(len(rows) // _PAIRED, 1)]
    if len(rows) < 2:
        return _MIN_EFFECTIVE
    places, r = x[rows] - x[rows[0]], residual[rows]
    square = np.einsum("ni,ni->n", places, places)
    near = square[:, None] + square - 2.0 * places @ places.T < (_NEIGHBOUR_REL * diameter_m) ** 2
    variance = float(r @ r)
    correlation = max(float(r @ near.astype(float) @ r) - variance, 0.0) / max(variance, 1e-18) / len(rows)
    most = _area(x, diameter_m) / correlation_m**2
    return float(np.clip(1.0 / (correlation + 1.0 / max(count, 1)), _MIN_EFFECTIVE, max(most, _MIN_EFFECTIVE)))


def pose_covariance(
    T: Array,
    x: Array,
    gradient: Array,
    weight: Array,
    point_information: float,
    away_m: Array,
    card: ObjectCard,
    sensor: Sensor,
) -> tuple[Array, Array]:
    """Information and covariance, both [6, 6] in the cloud's axes at the object's origin (see ``types.Estimate``).

    T: [4, 4]. x, gradient: [N, 3] points and surface normals in the object frame. weight: [N], in units of
    ``point_information`` (1/m^2), the information of one point. away_m: [3] from the viewpoint to the object.
    """
    centre = (weight @ x) / max(float(weight.sum()), 1e-12)
    arm = (x - centre) / card.diameter_m
    J = np.concatenate([gradient, np.cross(arm, gradient)], axis=1)  # for a step of the object, up to the sign
    A = (J * weight[:, None]).T @ J
    value, vector, share = observable_directions(
        A[None], weight.sum()[None], ((arm * weight[:, None]).T @ arm)[None], _SPURIOUS_RAD
    )
    # Row i of the inverse of the matrix of ``vector`` measures how much of a step lies along direction i.
    along = np.linalg.inv(vector[0])
    observed = along.T @ ((share[0] * value[0])[:, None] * along)
    # From turns about the points' centre, in diameters, to turns about the origin, in radians and metres.
    cx, cy, cz = centre
    shift = np.array([[0.0, cz, -cy], [-cz, 0.0, cx], [cy, -cx, 0.0]])
    to_centre = np.block([[np.eye(3), shift], [np.zeros((3, 3)), card.diameter_m * np.eye(3)]])
    information, observed = (point_information * to_centre.T @ M @ to_centre for M in (A, observed))
    shared = shared_covariance(float(np.linalg.norm(away_m)), sensor)
    covariance = rotate_covariance(T[:3, :3], _invert(observed, card) + shared)
    return rotate_covariance(T[:3, :3], information), add_bias(covariance, depth_bias(away_m, sensor))


def observable_directions(
    A: Array, total: Array, r2: Array, spurious_rad: tuple[float, float]
) -> tuple[Array, Array, Array]:
    """Decoupled directions [B, 6, 6] (columns) of fits, their curvatures [B, 6], and the observable share [B, 6] of each.

    A: [B, 6, 6] normal equations of point-to-plane fits about the points' own centre. total: [B] sum of the weights.
    r2: [B, 3, 3] weighted scatter of the points.

    About the axis of a bowl, or of a mug whose handle is hidden, errors of the normals alone cause some curvature. Curvatures
    are in units of what normals would cause that all point along the step; the root of one is then the error of the normals,
    in radians, that would explain it. spurious_rad: directions whose root is below the first are not observable (share 0),
    those above the second are (share 1), with a smooth transition between.
    """
    reference = np.zeros((len(A), 6, 6))
    reference[:, :3, :3] = (total + 1e-12)[:, None, None] * np.eye(3)
    reference[:, 3:, 3:] = (np.trace(r2, axis1=1, axis2=2) + 1e-12)[:, None, None] * np.eye(3) - r2
    root = np.linalg.inv(np.linalg.cholesky(reference))
    value, vector = np.linalg.eigh(root @ A @ np.swapaxes(root, -1, -2))
    low, high = np.square(spurious_rad)
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return value, np.swapaxes(root, -1, -2) @ vector, share * share * (3.0 - 2.0 * share)


def widen(covariance: Array, T: Array, axis: Axis, variance_rad2: float) -> Array:
    """``covariance`` [6, 6] of pose T [4, 4] with the variance of turns about ``axis`` (object frame) raised to ``variance_rad2``.

    A larger variance stays; none exceeds that of a uniform angle.
    """
    direction = T[:3, :3] @ axis.direction
    arm = T[:3, :3] @ axis.origin_m
    mode = np.concatenate([np.cross(arm, direction), direction])  # dt keeps the points of the axis where they are
    have = direction @ covariance[3:, 3:] @ direction
    more = max(min(variance_rad2, UNIFORM_RAD2) - have, 0.0)
    return covariance + more * np.outer(mode, mode)


def _invert(information: Array, card: ObjectCard) -> Array:
    """Covariance [6, 6] in the object frame; rotations that nothing fixes get the uniform variance and the shift that follows."""
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
