"""SE(3) in a few functions: rigid transforms as 4x4 arrays, twists as (x, y, z, rx, ry, rz).

All functions take leading batch dimensions. Formulas: Sola, Deray, Atchuthan, "A micro Lie theory for state estimation
in robotics", 2018.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array


def transform(rotation: Array, translation: Array) -> Array:
    """Put rotation [..., 3, 3] and translation [..., 3] into [..., 4, 4]."""
    rotation, translation = np.asarray(rotation, float), np.asarray(translation, float)
    batch = np.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1])
    T = np.zeros((*batch, 4, 4))
    T[..., :3, :3], T[..., :3, 3], T[..., 3, 3] = rotation, translation, 1.0
    return T


def invert(T: Array) -> Array:
    """Inverse of rigid transforms [..., 4, 4]."""
    R_t = np.swapaxes(T[..., :3, :3], -1, -2)
    return transform(R_t, -np.einsum("...ij,...j->...i", R_t, T[..., :3, 3]))


def apply(T: Array, points: Array) -> Array:
    """Move points [..., N, 3] by T [..., 4, 4]."""
    return points @ np.swapaxes(T[..., :3, :3], -1, -2) + T[..., None, :3, 3]


def exp_so3(rotvec: Array) -> Array:
    """Rotation vectors [..., 3] in radians to matrices [..., 3, 3]."""
    rotvec = np.asarray(rotvec, float)
    if rotvec.size == 0:  # refused by older releases of scipy
        return np.zeros((*rotvec.shape[:-1], 3, 3))
    return Rotation.from_rotvec(rotvec.reshape(-1, 3)).as_matrix().reshape(*rotvec.shape[:-1], 3, 3)


def log_so3(R: Array) -> Array:
    """Rotation matrices [..., 3, 3] to rotation vectors [..., 3] in radians."""
    R = np.asarray(R, float)
    if R.size == 0:
        return np.zeros((*R.shape[:-2], 3))
    return Rotation.from_matrix(R.reshape(-1, 3, 3)).as_rotvec().reshape(*R.shape[:-2], 3)


def angle(R: Array) -> Array:
    """Rotation angle of [..., 3, 3] in radians, accurate near zero and near pi."""
    skew = np.stack([R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], -1)
    return np.arctan2(np.linalg.norm(skew, axis=-1), np.trace(R, axis1=-2, axis2=-1) - 1.0)


def project_so3(M: Array) -> Array:
    """The rotations [..., 3, 3] nearest to M [..., 3, 3] in the Frobenius norm (Kabsch 1976); never a reflection."""
    U, _, Vt = np.linalg.svd(M)
    sign = np.ones((*M.shape[:-2], 3))
    sign[..., 2] = np.sign(np.linalg.det(U @ Vt))
    return (U * sign[..., None, :]) @ Vt


def mean_so3(R: Array, weights: Array | None = None) -> Array:
    """Chordal mean [3, 3] of rotations [N, 3, 3] with weights [N] (Hartley et al., "Rotation averaging", IJCV 2013)."""
    return project_so3(np.average(R, axis=0, weights=weights))


def retract(T: Array, twist: Array) -> Array:
    """T [..., 4, 4] moved by a decoupled twist [..., 6]: t + twist[:3], Exp(twist[3:]) R, as covariances are defined."""
    return transform(exp_so3(twist[..., 3:]) @ T[..., :3, :3], T[..., :3, 3] + twist[..., :3])


def local(T_from: Array, T_to: Array) -> Array:
    """The twist [..., 6] for which ``retract(T_from, twist)`` is ``T_to``."""
    R = T_to[..., :3, :3] @ np.swapaxes(T_from[..., :3, :3], -1, -2)
    return np.concatenate([T_to[..., :3, 3] - T_from[..., :3, 3], log_so3(R)], -1)


def rotate_covariance(R: Array, covariance: Array) -> Array:
    """A covariance [6, 6] in the axes of a frame turned by R [3, 3]: blkdiag(R, R) C blkdiag(R, R)^T."""
    block = np.kron(np.eye(2), R)
    return block @ covariance @ block.T


def look_at(viewpoint_m: Array, target_m: Array, up: Array) -> Array:
    """T_world_camera [4, 4] of an optical frame (z forward, y down) at ``viewpoint_m`` that looks at ``target_m``."""
    z = target_m - viewpoint_m
    z = z / np.linalg.norm(z)
    x = np.cross(z, up)
    x = x / np.linalg.norm(x)
    return transform(np.stack([x, np.cross(z, x), z], axis=-1), viewpoint_m)
