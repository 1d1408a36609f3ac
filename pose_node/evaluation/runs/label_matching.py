"""Match the estimates of a frame with its labels, compute the errors of each pair, and BOP's recall of each label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_node.arrays import Array
from pose_node.evaluation import metrics
from pose_node.evaluation.records import Errors, FrameRecord, LabelRecord
from pose_node.evaluation.runs.reference_model import ReferenceModel
from pose_node.evaluation.sources.source import Frame, Label
from pose_node.geometry import se3, symmetry
from pose_node.measurement.cloud import Cloud

REL_THRESHOLDS = np.arange(0.05, 0.51, 0.05)  # of MSSD relative to the diameter, and of VSD
PIXEL_THRESHOLDS = np.arange(5, 51, 5)  # of MSPD in an image 640 pixels wide
_SATURATED_REL = 1.0  # MSSD relative to the diameter above which an assignment does not distinguish errors
_SAME_PLACE_REL = 0.5  # of the diameter: largest distance between the centres of an estimate and its label


def match_labels(frame: Frame, record: FrameRecord, references: Mapping[int, ReferenceModel]) -> list[LabelRecord]:
    """A record for each label of a frame with the matching estimate of ``record``; without a match where the frame was refused."""
    out = []
    if frame.cloud is None:
        return [
            LabelRecord(
                frame.scene, frame.frame, references[x.bop_id].name, x.instance, x.T_camera_object, x.visible_share
            )
            for x in frame.labels
        ]
    for bop_id in dict.fromkeys(label.bop_id for label in frame.labels):
        reference, mine = references[bop_id], [label for label in frame.labels if label.bop_id == bop_id]
        rows = [i for i, e in enumerate(record.estimates) if e.object_name == reference.name]
        estimates = [(record.estimates[i].T_camera_object, record.estimates[i].score) for i in rows]
        poses = [label.T_camera_object for label in mine]
        for label, found in zip(mine, match(reference, estimates, poses, frame.cloud, frame.depth_m)):
            row = None if found.estimate is None else rows[found.estimate]
            out.append(
                LabelRecord(
                    frame.scene,
                    frame.frame,
                    reference.name,
                    label.instance,
                    label.T_camera_object,
                    label.visible_share,
                    row,
                    None if row is None else record.estimates[row].score,
                    found.errors,
                    found.recall,
                )
            )
    return out


def unmatched_estimates(
    labels: Iterable[Label], record: FrameRecord, references: Mapping[int, ReferenceModel]
) -> tuple[int, ...]:
    """Indices of the estimates of ``record`` that match none of ``labels``, with all those of objects without a reference model."""
    poses: dict[int, list[Array]] = {}
    for label in labels:
        poses.setdefault(label.bop_id, []).append(label.T_camera_object)
    ids = {reference.name: bop_id for bop_id, reference in references.items()}
    out: list[int] = []
    for name in dict.fromkeys(e.object_name for e in record.estimates):
        rows = [i for i, e in enumerate(record.estimates) if e.object_name == name]
        mine = poses.get(ids[name], []) if name in ids else []
        left = rows
        if mine:
            found = [record.estimates[i].T_camera_object for i in rows]
            left = [rows[i] for i in unmatched(references[ids[name]], found, mine)]
        out += left
    return tuple(sorted(out))


@dataclass(frozen=True, eq=False)
class Match:
    """The match of one label. estimate: index into the given estimates, None without a match.

    recall: for "vsd", "mssd" and "mspd" the share of BOP's thresholds (and tolerances) at which the label is found; its
    mean over the labels is BOP's average recall. Only "mssd" for a cloud without an image.
    """

    estimate: int | None
    errors: Errors
    recall: dict[str, float]


def match(
    reference: ReferenceModel,
    estimates: Sequence[tuple[Array, float]],
    labels: Sequence[Array],
    cloud: Cloud,
    depth_m: Array | None,
) -> list[Match]:
    """Match (T_camera_object, score) with labels T_camera_object [4, 4] of the same object: one ``Match`` per label.

    As in BOP's localization task, only as many estimates count as there are labels, those of the highest scores. Estimates are
    assigned one to one with the least sum of MSSD; for recall they are matched again at each threshold, as BOP does.
    """
    order = sorted(range(len(estimates)), key=lambda i: -estimates[i][1])[: len(labels)]
    poses = [estimates[i][0] for i in order]
    mssd = np.array(
        [[metrics.mssd(reference.hull_m, T, label, reference.symmetries) for label in labels] for T in poses]
    ).reshape(len(poses), len(labels))
    mssd /= reference.diameter_m
    vsd = mspd = None
    if cloud.K is not None and depth_m is not None:
        vsd, mspd = _image_errors(reference, poses, labels, depth_m, cloud.K)
    recall = {"mssd": _share(mssd, REL_THRESHOLDS)}
    if vsd is not None and mspd is not None:
        recall["mspd"] = _share(mspd, PIXEL_THRESHOLDS)
        recall["vsd"] = np.mean([_share(vsd[:, :, tau], REL_THRESHOLDS) for tau in range(vsd.shape[2])], axis=0)
    cost = np.minimum(mssd, _SATURATED_REL) + 1e-3 * np.minimum(mssd, 1e3)
    matched = {label: row for row, label in zip(*linear_sum_assignment(cost))}
    matches = []
    for k, T_label in enumerate(labels):
        shares = {name: float(values[k]) for name, values in recall.items()}
        row = matched.get(k)
        if row is None:
            matches.append(Match(None, Errors(), shares))
            continue
        errors = _errors(
            reference,
            poses[row],
            T_label,
            float(mssd[row, k]),
            None if vsd is None else tuple(float(v) for v in vsd[row, k]),
            None if mspd is None else float(mspd[row, k]),
        )
        matches.append(Match(order[row], errors, shares))
    return matches


def unmatched(reference: ReferenceModel, estimates: Sequence[Array], labels: Sequence[Array]) -> list[int]:
    """Which of the estimates T_camera_object [4, 4] belong to no label T_camera_object [4, 4] of the same object.

    Unlike in ``match``, all estimates count, and each label matches at most one estimate, at its place and of any rotation.
    """
    if not labels:
        return list(range(len(estimates)))
    centres = [
        np.array([se3.apply(T, reference.centre_m[None])[0] for T in poses]).reshape(-1, 3)
        for poses in (estimates, labels)
    ]
    apart = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2) / (_SAME_PLACE_REL * reference.diameter_m)
    cost = np.where(
        apart <= 1.0, apart, 2.0 * min(apart.shape, default=0) + 2.0
    )  # more pairs are preferred to smaller distances
    matched = {row for row, label in zip(*linear_sum_assignment(cost)) if apart[row, label] <= 1.0}
    return [row for row in range(len(estimates)) if row not in matched]


def _image_errors(
    reference: ReferenceModel, poses: Sequence[Array], labels: Sequence[Array], depth_m: Array, K: Array
) -> tuple[Array, Array]:
    """VSD [E, L, taus], and MSPD [E, L] in pixels of an image 640 wide."""
    shape = (depth_m.shape[0], depth_m.shape[1])
    of_labels = [reference.depth(T, K, shape) for T in labels]
    vsd = np.empty((len(poses), len(labels), len(metrics.VSD_TAUS)))
    mspd = np.empty((len(poses), len(labels)))
    for i, T in enumerate(poses):
        of_pose = reference.depth(T, K, shape)
        for k, T_label in enumerate(labels):
            vsd[i, k] = metrics.vsd(
                of_pose, of_labels[k], depth_m, K, reference.diameter_m, delta_m=reference.vsd_delta_m
            )
            mspd[i, k] = metrics.mspd(reference.vertices_m, T, T_label, reference.symmetries, K) * 640.0 / shape[1]
    return vsd, mspd


def found(errors: Array, thresholds: Array) -> Array:
    """Which labels are found at each threshold: [thresholds, L] bool.

    errors: [E, L], by decreasing score. As in bop_toolkit each estimate takes the unmatched label of least error below the
    threshold, even if a later estimate fits it better.
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
    reference: ReferenceModel,
    T: Array,
    T_label: Array,
    mssd_rel: float,
    vsd: tuple[float, ...] | None,
    mspd_px: float | None,
) -> Errors:
    add = metrics.add(reference.vertices_m, T, T_label) / reference.diameter_m
    adds = metrics.adds(reference.vertices_m, T, T_label) / reference.diameter_m
    rotation = symmetry.rotation_error(T, T_label, reference.symmetry)
    translation = symmetry.translation_error(T, T_label, reference.symmetry, reference.centre_m)
    return Errors(
        vsd,
        mssd_rel,
        mspd_px,
        add,
        adds,
        adds if reference.declared else add,
        float(np.degrees(rotation)),
        1000.0 * float(translation),
    )
