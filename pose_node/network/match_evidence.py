"""How well a pose agrees with what the backbone recognised: the matches that a pose makes true, counted by their probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.types import Matches

Floats = NDArray[np.float32]
NEAR_REL = (
    0.08  # scale, in diameters, of the distance at which a matched place agrees with the place that the pose gives
)


@dataclass(frozen=True, slots=True, eq=False)
class MatchEvidence:
    """For B poses and the M centres of a segment; all of it invariant to motions of the camera.

    share:      [B, M] in [0, 1]: the part of a centre's match probability that lies where the pose puts the centre.
    similarity: [M] of each centre's best match; quality: [M] probability that this match is right.
    """

    share: Array
    similarity: Array
    quality: Array

    @property
    def support(self) -> Array:
        """[B] in [0, 1]: the mean share, weighted by quality."""
        return self.share @ self.quality / max(float(self.quality.sum()), 1e-9)


def match_evidence(matches: Matches, T: Array) -> MatchEvidence:
    """The evidence for poses T_camera_object [B, 4, 4] of the object that ``matches`` is about."""
    share = shares(matches, *relative_poses(matches, T))
    return MatchEvidence(share.astype(np.float64), matches.similarity[:, 0].astype(np.float64), matches.quality)


def relative_poses(matches: Matches, T: Array) -> tuple[Array, Array]:
    """R [B, 3, 3] and t [B, 3] of poses T [B, 4, 4] in the lengths and about the origins of ``matches``."""
    R = T[:, :3, :3]
    return R, (R @ matches.centre_m + T[:, :3, 3] - matches.origin_m) / matches.diameter_m


def camera_poses(matches: Matches, R: Array, t: Array) -> Array:
    """The inverse of ``relative_poses``: T_camera_object [B, 4, 4]."""
    T = np.tile(np.eye(4), (len(R), 1, 1))
    T[:, :3, :3] = R
    T[:, :3, 3] = t * matches.diameter_m + matches.origin_m - R @ matches.centre_m
    return T


def shares(matches: Matches, R: Array, t: Array) -> Floats:
    """[B, M] the part of each centre's match probability near where poses R [B, 3, 3], t [B, 3] put the centre."""
    near = nearness(pairs_of(matches.points, matches.places), R, t).reshape(len(R), *matches.places.shape[:2])
    near *= matches.probability
    return near.sum(axis=-1)


def attainable_share(matches: Matches) -> Floats:
    """[M] the share that the best of a centre's own places would give it: small where the surface looks alike all over."""
    apart2 = np.sum((matches.places[:, :, None] - matches.places[:, None]) ** 2, axis=-1)
    near = np.exp(np.asarray(apart2, np.float32) * np.float32(-1.0 / NEAR_REL**2))
    return (near @ matches.probability[..., None])[..., 0].max(axis=1)


def pairs_of(points: Floats, places: Floats) -> Floats:
    """What ``nearness`` and weighted fits need of the pairs of points p [M, 3] and places q [M, K, 3]: [M * K, 17].

    Columns: p q^T (9), p (3), q (3), 1, |p|^2 + |q|^2.
    """
    out = np.empty((*places.shape[:2], 17), np.float32)
    p = points[:, None]
    out[..., :9] = (p[..., None] * places[..., None, :]).reshape(*places.shape[:2], 9)
    out[..., 9:12], out[..., 12:15], out[..., 15] = p, places, 1.0
    out[..., 16] = np.einsum("mki,mki->mk", places, places) + np.einsum("mi,mi->m", points, points)[:, None]
    return out.reshape(-1, 17)


def nearness(pairs: Floats, R: Array, t: Array) -> Floats:
    """exp(-d^2 / NEAR_REL^2) [B, P] of the distances d = |R q + t - p| of pairs [P, 17] at poses R [B, 3, 3], t [B, 3].

    The squared distance is bilinear in the pose and the pair, so all of them are one product of matrices.
    """
    poses = np.empty((len(R), 17), np.float32)
    poses[:, :9], poses[:, 9:12], poses[:, 12:15] = (
        -2.0 * R.reshape(-1, 9),
        -2.0 * t,
        2.0 * np.einsum("bij,bi->bj", R, t),
    )
    poses[:, 15], poses[:, 16] = np.einsum("bi,bi->b", t, t), 1.0
    poses *= np.float32(-1.0 / NEAR_REL**2)
    exponent = poses @ pairs.T
    np.minimum(exponent, 0.0, out=exponent)  # rounding may leave more where the distance is zero
    return np.exp(exponent, out=exponent)
