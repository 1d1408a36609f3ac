"""One label by one method: its errors before and after refinement, as plain values.

Every row has the errors of the method's answer (``ERRORS``) and, as MSSD-depth in diameters, how far its search came:
``first`` is its first pose before any refinement, ``proposed`` the best of all its poses, ``refined`` the best after refinement.
Null stands for no pose. Times are processor time on one thread (see ``peers/worker.py``), so other load matters little.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import real, results
from benchmarks.crops import Crop
from benchmarks.peers.worker import Answer, Worker, make_quietly
from pose_node.arrays import Array
from pose_node.config import SegmentConfig
from pose_node.detection.mask_trimming import main_bodies
from pose_node.detection.segmentation import segments
from pose_node.evaluation import metrics
from pose_node.geometry import se3
from pose_node.measurement.scene import Scene
from pose_node.measurement.sensor import DEFAULT
from pose_node.objects.card import ObjectCard
from pose_node.pose.refine import Refiner
from pose_node.types import Result, Segment

VARIANTS = ("first_pose", "best_fit")
ERRORS = ("mssd_depth", "mssd", "add_s", "translation_mm", "rotation_deg")
STAGES = ("first", "proposed", "refined")


def worker(peer: str, setting: str, crop: Crop) -> Worker:
    """A peer in a process of its own, made of the data set's model of a crop's object."""
    model = crop.model
    return Worker(make_quietly, peer, setting, model.vertices_m, model.faces, model.diameter_m)


def points_of(crop: Crop) -> Array:
    """[N, 3] the crop's points without background and flying pixels, as our pipeline takes them from a mask."""
    rows = np.flatnonzero(crop.mask.ravel()[crop.cloud.source_index])
    return crop.cloud.points_m[main_bodies(crop.cloud, rows, crop.model.diameter_m, DEFAULT)]


def segment_of(crop: Crop, card: ObjectCard, config: SegmentConfig) -> Segment | None:
    """The segment that our pipeline makes from the mask (without flying pixels); None where too few points are left."""
    found, _ = segments(crop.cloud, {crop.name: [crop.mask]}, {crop.name: card}, config)
    return found[0] if found else None


def our_row(crop: Crop, result: Result, ms: float, min_score: float) -> dict[str, Any]:
    """Our result for a crop, made with a threshold of 0: its best estimate counts as an answer from ``min_score`` on.

    ``score``: of the best estimate, null without one. ``chosen``: its MSSD-depth, whatever its score. ``poses``: the first
    hypothesis and the best estimate (``plain_pose``), null where there is none.
    """
    best = max(result.estimates, key=lambda e: e.score, default=None)
    answered = best is not None and best.score >= min_score
    chosen = [] if best is None else [best.T_camera_object]
    row: dict[str, Any] = {"outcome": "answered" if answered else "refused"}
    if best is None:
        row["why"] = max(result.rejected, key=lambda r: r.score or 0.0).code if result.rejected else "silent"
    proposed = [h.T_camera_object for h in result.hypotheses]
    refined = [*(r.T_camera_object for r in result.refined), *chosen]
    row.update(score=None if best is None else round(float(best.score), 4), chosen=least(crop, chosen))
    row.update(_stages(crop, proposed, refined))
    row["poses"] = [plain_pose(each[0]) if each else None for each in (proposed, chosen)]
    return {**row, **error_row(crop, chosen[0] if answered else None, ms)}


def ask(
    answer: Answer, segment: Segment, scene: Scene, refiner: Refiner
) -> tuple[list[tuple[Array, float]], list[float]]:
    """A peer's answer after our refinement: (pose, share of the points on it) in its order; milliseconds: up to the first
    refined pose, and up to the last."""
    name = str(segment.object_name)
    start = time.process_time()
    refined = real.refine(answer.poses[:1], name, segment, scene, refiner)
    first = time.process_time()
    refined += real.refine(answer.poses[1:], name, segment, scene, refiner)
    return refined, [1000.0 * (answer.seconds + end - start) for end in (first, time.process_time())]


def peer_row(answer: Answer, crop: Crop, segment: Segment | None, card: ObjectCard, refiner: Refiner) -> dict[str, Any]:
    """A peer's answer for a crop, and for each way to choose among its poses errors and ms.

    "first_pose": the pose that it ranks first. "best_fit": all refined, the one with the largest share of the points on it.
    """
    if segment is None:
        nothing = {v: error_row(crop, None, float("nan")) for v in VARIANTS}
        return {"outcome": "too_few_points", **_stages(crop, [], []), **nothing}
    refined, ms = ask(answer, segment, Scene(crop.cloud, {crop.name: card}), refiner)
    chosen = [refined[0][0], max(refined, key=lambda r: r[1])[0]] if refined else [None, None]
    row: dict[str, Any] = {"outcome": answer.outcome}
    if answer.why:
        row["why"] = answer.why
    row.update(_stages(crop, answer.poses, [T for T, _ in refined]))
    row.update({v: error_row(crop, T, t) for v, T, t in zip(VARIANTS, chosen, ms)})
    return row


def plain_pose(T: Array) -> list[float]:
    """A pose [4, 4] as rotation vector (rad) and translation (m), to 0.001 degrees and 1 um."""
    return [*(round(float(x), 5) for x in se3.log_so3(T[:3, :3])), *(round(float(x), 6) for x in T[:3, 3])]


def read_pose(values: Sequence[float]) -> Array:
    """The pose [4, 4] of ``plain_pose``."""
    return se3.transform(se3.exp_so3(np.array(values[:3])), np.array(values[3:]))


def least(crop: Crop, poses: Sequence[Array]) -> float | None:
    """The least MSSD-depth of poses, in diameters."""
    model = crop.model
    each = [metrics.mssd(model.hull_m, T, crop.T_label, model.symmetries_depth) for T in poses]
    return float(f"{min(each) / model.diameter_m:.4g}") if each else None


def error_row(crop: Crop, T: Array | None, ms: float) -> dict[str, Any]:
    """Errors of a pose (null where there is none) and the milliseconds that it took (null where the method was not run)."""
    found = real.plain(real.errors(crop.model, [] if T is None else [T], crop.T_label))
    row: dict[str, Any] = {name: None if found[name] is None else float(f"{found[name]:.4g}") for name in ERRORS}
    return {**row, "ms": round(ms, 1) if np.isfinite(ms) else None}


def hit(row: dict[str, Any], name: str = "mssd_depth") -> bool:
    """Whether an error is within 10 % of the diameter."""
    return row[name] is not None and row[name] <= real.THRESHOLD


def times_ms(found: Sequence[dict[str, Any]]) -> list[float]:
    """The times of the rows that have one."""
    return [row["ms"] for row in found if row["ms"] is not None]


def median_ms(found: Sequence[dict[str, Any]]) -> float:
    """Of the rows with a time; NaN where none has one."""
    return results.percentile(times_ms(found), 50)


def better_variant(found: Sequence[dict[str, Any]]) -> str:
    """The way to choose that hits more of these labels, the faster one of two that hit as many."""
    hits = {v: sum(hit(row[v]) for row in found) for v in VARIANTS}
    return min(VARIANTS, key=lambda v: (-hits[v], np.nan_to_num(median_ms([row[v] for row in found]))))


def _stages(crop: Crop, proposed: Sequence[Array], refined: Sequence[Array]) -> dict[str, float | None]:
    each = (proposed[:1], proposed, refined)
    return {stage: least(crop, poses) for stage, poses in zip(STAGES, each)}
