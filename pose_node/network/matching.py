"""A segment's centres matched to an object's bank, and the poses on which most matches agree.

The vectors of a centre and of a bank's place give a rotation, the two points then a translation: each match is a full pose.
(Equivariant vectors make a correspondence a pose in Yao et al., "PARE-Net", ECCV 2024, too.) No RANSAC over triples is needed, and
as everything is made of invariants and of vectors that turn with the cloud, so do the poses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array, Indices
from pose_node.geometry.se3 import project_so3
from pose_node.geometry.symmetry import Symmetry, largest_trace
from pose_node.network.backbone import Features
from pose_node.network.input import Prepared
from pose_node.network.match_evidence import NEAR_REL, nearness, pairs_of
from pose_node.objects.bank import Bank
from pose_node.types import Matches

Floats = NDArray[np.float32]

KEPT = 32  # matches of a centre that count for a pose
PROPOSING = 8  # matches of a centre that propose a pose each
_COUNTED = 8  # matches of a centre that count for the first ranking
_GROUP = 32  # entries of the bank of which only the best is looked at first
_APART_RAD = np.deg2rad(12.0)  # poses nearer than this, and than NEAR_REL, are one
_POLISHED = 6  # fits of each pose to the matches that agree with it


def match_to_bank(
    prepared: Prepared, features: Features, bank: Bank, temperature: float, centre_m: Array
) -> tuple[Matches, Array]:
    """The matches of a segment's centres, and the rotations R_camera_object [M, PROPOSING, 3, 3] of the best of each centre.

    temperature: of the softmax that makes similarities probabilities, from the backbone's card. centre_m: [3] the object's.
    """
    similarity = features.descriptors @ bank.descriptors.T
    rows = _best(similarity, min(KEPT, similarity.shape[1]))
    kept = np.take_along_axis(similarity, rows, axis=1)
    top = kept[:, :1]
    total = np.exp((similarity - top) * np.float32(1.0 / temperature)).sum(axis=1, keepdims=True)
    first = rows[:, :PROPOSING]
    # A = sum_c v_c w_c^T; its nearest rotation is the mode of the matrix Fisher density exp(tr(R^T A)).
    A = np.swapaxes(features.vectors, 1, 2)[:, None] @ bank.vectors[first]
    matches = Matches(
        points=prepared.points[prepared.centres],
        places=bank.places[rows],
        similarity=kept,
        probability=np.exp((kept - top) * np.float32(1.0 / temperature)) / total,
        quality=1.0 / (1.0 + np.exp(-features.quality.astype(np.float64))),
        origin_m=prepared.centre_m,
        centre_m=centre_m,
        diameter_m=prepared.scale_m,
    )
    return matches, project_so3(A)


def consensus(matches: Matches, R: Array, symmetry: Symmetry, count: int) -> tuple[Array, Array, Array]:
    """At most ``count`` different poses, R [B, 3, 3], t [B, 3] (in the lengths of ``matches``), and their support [B], best first.

    R: [M, P, 3, 3] rotation that each centre's best matches propose. Support is the share of all centres' match probability,
    weighted by quality, that lies where the pose puts them. It counts smoothly, so that no match switches abruptly.
    """
    proposed = R.shape[1]
    weight = matches.quality / max(float(matches.quality.sum()), 1e-9)
    weight = (weight[:, None] * matches.probability).astype(np.float32)
    pairs = pairs_of(matches.points, matches.places)
    t = matches.points[:, None] - np.einsum("mpij,mpj->mpi", R, matches.places[:, :proposed])
    R, t = R.reshape(-1, 3, 3), t.reshape(-1, 3)
    first = np.zeros(weight.shape, dtype=bool)
    first[:, :_COUNTED] = True
    near = nearness(pairs[first.ravel()], R, t)
    order = np.argsort(-(near @ weight[first]), kind="stable")
    starts = order[_different(R[order], t[order], symmetry, count)]
    R, t = R[starts], t[starts]
    for _ in range(_POLISHED):
        R, t = _fit(pairs, weight.ravel() * nearness(pairs, R, t))
    support = (nearness(pairs, R, t) @ weight.ravel()).astype(np.float64)
    order = np.argsort(-support, kind="stable")
    kept = order[_different(R[order], t[order], symmetry, count)]
    return R[kept], t[kept], support[kept]


def _best(similarity: Floats, count: int) -> Indices:
    """[M, count] columns of the largest of ``similarity`` [M, E], best first.

    The largest lie in the groups of columns with the largest maxima, so most columns are read once only.
    """
    rows, entries = similarity.shape
    groups = -(-entries // _GROUP)
    padded = similarity
    if groups * _GROUP > entries:
        padded = np.full((rows, groups * _GROUP), -np.inf, np.float32)
        padded[:, :entries] = similarity
    grouped = padded.reshape(rows, groups, _GROUP)
    columns = np.arange(groups * _GROUP)[None]
    if groups > count:
        largest = grouped.max(axis=2)
        chosen = np.argpartition(largest, groups - count, axis=1)[:, groups - count :]
        chosen.sort(axis=1)  # so that ties go to the first entry
        padded = np.take_along_axis(grouped, chosen[:, :, None], axis=1).reshape(rows, -1)
        columns = (chosen[:, :, None] * _GROUP + np.arange(_GROUP)).reshape(rows, -1)
    width = padded.shape[1]
    part = np.argpartition(padded, width - count, axis=1)[:, width - count :]
    part.sort(axis=1)
    order = np.argsort(-np.take_along_axis(padded, part, axis=1), axis=1, kind="stable")
    part = np.take_along_axis(part, order, axis=1)
    return np.take_along_axis(np.broadcast_to(columns, padded.shape), part, axis=1)


def _different(R: Array, t: Array, symmetry: Symmetry, count: int) -> list[int]:
    """Rows of at most ``count`` of the poses R [N, 3, 3], t [N, 3]: each differs, up to symmetry, from all taken before it.

    t: of the object's centre, which symmetry leaves in place.
    """
    left = np.ones(len(R), dtype=bool)
    taken: list[int] = []
    while len(taken) < count and left.any():
        first = int(left.argmax())
        taken.append(first)
        rows = np.flatnonzero(left)
        turned = largest_trace(R[first : first + 1], R[rows], symmetry)[0] > 1.0 + 2.0 * np.cos(_APART_RAD)
        near = np.sum((t[rows] - t[first]) ** 2, axis=1) < NEAR_REL**2
        left[rows[turned & near]] = False
        left[first] = False  # a pose may differ from itself by rounding
    return taken


def _fit(pairs: Floats, weight: Floats) -> tuple[Array, Array]:
    """Weighted least-squares poses (Kabsch 1976), one for each row of ``weight`` [B, P]: R [B, 3, 3], t [B, 3]."""
    sums = (weight @ pairs).astype(np.float64)
    sums /= np.maximum(sums[:, 15:16], 1e-12)
    mean_p, mean_q = sums[:, 9:12], sums[:, 12:15]
    R = project_so3(sums[:, :9].reshape(-1, 3, 3) - mean_p[:, :, None] * mean_q[:, None, :])
    return R, mean_p - np.einsum("bij,bj->bi", R, mean_q)
