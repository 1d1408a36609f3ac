"""Estimates of one object in one frame against its labels: which belongs to which, how far off, and what BOP makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_node.arrays import Array
from pose_node.evaluation import metrics
from pose_node.evaluation.records import Errors
from pose_node.evaluation.runs.reference_model import ReferenceModel
from pose_node.geometry import se3, symmetry
from pose_node.measurement.cloud import Cloud

REL_THRESHOLDS = np.arange(0.05, 0.51, 0.05)  # MSSD over the diameter, and VSD
PIXEL_THRESHOLDS = np.arange(5, 51, 5)  # MSPD in an image 640 pixels wide
_FAR = 1.0  # diameters beyond which one error is as bad as another
_REACH = 0.5  # of the diameter: an estimate whose centre is farther from a label's is of another place


@dataclass(frozen=True, eq=False)
class Match:
    """One label's part. estimate: index into the estimates given, None where none is left for it.

    recall: for "vsd", "mssd" and "mspd" the share of BOP's thresholds (and tolerances) at which the label is found; its
    mean over the labels is BOP's average recall. Only "mssd" for a bare cloud, which forms no image.
    """

    estimate: int | None
    errors: Errors
    recall: dict[str, float]


def match(
    truth: ReferenceModel,
    estimates: Sequence[tuple[Array, float]],
    labels: Sequence[Array],
    cloud: Cloud,
    depth_m: Array | None,
) -> list[Match]:
    """Match (T_camera_object, score) with labels T_camera_object [4, 4] of the same object: one ``Match`` a label.

    As in BOP's localization task only as many estimates count as there are labels, the best by score. Each label gets the
    estimate of a one-to-one assignment with the least sum of MSSD; BOP's recall matches anew at each threshold.
    """
    order = sorted(range(len(estimates)), key=lambda i: -estimates[i][1])[: len(labels)]
    poses = [estimates[i][0] for i in order]
    mssd = np.array(
        [[metrics.mssd(truth.hull_m, T, label, truth.symmetries) for label in labels] for T in poses]
    ).reshape(len(poses), len(labels))
    mssd /= truth.diameter_m
    vsd = mspd = None
    if cloud.K is not None and depth_m is not None:
        vsd, mspd = _in_the_image(truth, poses, labels, depth_m, cloud.K)
    recall = {"mssd": _share(mssd, REL_THRESHOLDS)}
    if vsd is not None and mspd is not None:
        recall["mspd"] = _share(mspd, PIXEL_THRESHOLDS)
        recall["vsd"] = np.mean([_share(vsd[:, :, tau], REL_THRESHOLDS) for tau in range(vsd.shape[2])], axis=0)
    cost = np.minimum(mssd, _FAR) + 1e-3 * np.minimum(mssd, 1e3)
    matched = {label: row for row, label in zip(*linear_sum_assignment(cost))}
    matches = []
    for k, T_label in enumerate(labels):
        shares = {name: float(values[k]) for name, values in recall.items()}
        row = matched.get(k)
        if row is None:
            matches.append(Match(None, Errors(), shares))
            continue
        errors = _errors(
            truth,
            poses[row],
            T_label,
            float(mssd[row, k]),
            None if vsd is None else tuple(float(v) for v in vsd[row, k]),
            None if mspd is None else float(mspd[row, k]),
        )
        matches.append(Match(order[row], errors, shares))
    return matches


def unmatched(truth: ReferenceModel, estimates: Sequence[Array], labels: Sequence[Array]) -> list[int]:
    """Which of the estimates T_camera_object [4, 4] belong to no label T_camera_object [4, 4] of the same object.

    Unlike in ``match`` all estimates count, and a label is matched only by one at its place: each label by at most one,
    however wrong its turn is.
    """
    if not labels:
        return list(range(len(estimates)))
    centres = [
        np.array([se3.apply(T, truth.centre_m[None])[0] for T in poses]).reshape(-1, 3) for poses in (estimates, labels)
    ]
    apart = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2) / (_REACH * truth.diameter_m)
    cost = np.where(
        apart <= 1.0, apart, 2.0 * min(apart.shape, default=0) + 2.0
    )  # one pair more outweighs any distances
    matched = {row for row, label in zip(*linear_sum_assignment(cost)) if apart[row, label] <= 1.0}
    return [row for row in range(len(estimates)) if row not in matched]


def _in_the_image(
    truth: ReferenceModel, poses: Sequence[Array], labels: Sequence[Array], depth_m: Array, K: Array
) -> tuple[Array, Array]:
    """VSD [E, L, taus], and MSPD [E, L] in pixels of an image 640 wide."""
    shape = (depth_m.shape[0], depth_m.shape[1])
    of_labels = [truth.depth(T, K, shape) for T in labels]
    vsd = np.empty((len(poses), len(labels), len(metrics.VSD_TAUS)))
    mspd = np.empty((len(poses), len(labels)))
    for i, T in enumerate(poses):
        of_pose = truth.depth(T, K, shape)
        for k, T_label in enumerate(labels):
            vsd[i, k] = metrics.vsd(of_pose, of_labels[k], depth_m, K, truth.diameter_m, delta_m=truth.vsd_delta_m)
            mspd[i, k] = metrics.mspd(truth.vertices_m, T, T_label, truth.symmetries, K) * 640.0 / shape[1]
    return vsd, mspd


def found(errors: Array, thresholds: Array) -> Array:
    """Which labels are found at each threshold: [thresholds, L] bool.

    errors: [E, L], the best estimate first. Each takes the free label of least error below the threshold, as bop_toolkit
    matches; a label that another estimate fits better may so go to the estimate of higher score.
    """
    taken = np.zeros((len(thresholds), errors.shape[1]), dtype=bool)
    for row, threshold in zip(taken, thresholds):
        for of_estimate in errors:
            left = np.where(row, np.inf, of_estimate)
            if left.min() < threshold:
                row[int(np.argmin(left))] = True
    return taken


def _share(errors: Array, thresholds: Array) -> Array:
    return found(errors, thresholds).mean(axis=0)


def _errors(
    truth: ReferenceModel,
    T: Array,
    T_label: Array,
    mssd_rel: float,
    vsd: tuple[float, ...] | None,
    mspd_px: float | None,
) -> Errors:
    add = metrics.add(truth.vertices_m, T, T_label) / truth.diameter_m
    adds = metrics.adds(truth.vertices_m, T, T_label) / truth.diameter_m
    turn = symmetry.rotation_error(T, T_label, truth.symmetry)
    shift = symmetry.translation_error(T, T_label, truth.symmetry, truth.centre_m)
    return Errors(
        vsd,
        mssd_rel,
        mspd_px,
        add,
        adds,
        adds if truth.declared else add,
        float(np.degrees(turn)),
        1000.0 * float(shift),
    )
