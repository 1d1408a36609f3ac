"""One segment by one method: a peer's answer after our own refinement, and the errors of the result.

Times are processor time on one thread (see ``peers/worker.py``), so other load on the machine matters little.
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
from pose_node.detection.segmentation import segments
from pose_node.measurement.scene import Scene
from pose_node.objects.card import ObjectCard
from pose_node.pose.refine import Refiner
from pose_node.types import Segment

VARIANTS = ("first", "best_fit")
ERRORS = ("mssd_depth", "mssd", "add_s", "translation_mm", "rotation_deg")


def worker(peer: str, setting: str, crop: Crop) -> Worker:
    """A peer in a process of its own, made of the data set's model of a crop's object."""
    model = crop.model
    return Worker(make_quietly, peer, setting, model.vertices_m, model.faces, model.diameter_m)


def segment_of(crop: Crop, card: ObjectCard, config: SegmentConfig) -> Segment | None:
    """The segment that our pipeline makes from the mask (without flying pixels); None where too few points are left."""
    found, _ = segments(crop.cloud, {crop.name: [crop.mask]}, {crop.name: card}, config)
    return found[0] if found else None


def ask(
    peer: Worker, segment: Segment, scene: Scene, refiner: Refiner
) -> tuple[Answer, list[tuple[Array, float]], list[float]]:
    """A peer's answer for a segment; (refined pose, share of the points on it) in its order; milliseconds: up to the first
    refined pose, and up to the last."""
    answer = peer.poses(scene.cloud.points_m[segment.indices], scene.cloud.viewpoint_m)
    name = str(segment.object_name)
    start = time.process_time()
    refined = real.refine(answer.poses[:1], name, segment, scene, refiner)
    first = time.process_time()
    refined += real.refine(answer.poses[1:], name, segment, scene, refiner)
    ms = [1000.0 * (answer.seconds + end - start) for end in (first, time.process_time())]
    return answer, refined, ms


def peer_row(peer: Worker, crop: Crop, segment: Segment | None, card: ObjectCard, refiner: Refiner) -> dict[str, Any]:
    """A peer's result for a crop, as plain values: its outcome, and for each way to choose among its poses errors and ms.

    "first": the pose that it ranks first. "best_fit": all refined, the one with the largest share of the points on it.
    """
    if segment is None:
        return {"outcome": "too_few_points", **{v: error_row(crop, None, float("nan")) for v in VARIANTS}}
    answer, refined, ms = ask(peer, segment, Scene(crop.cloud, {crop.name: card}), refiner)
    chosen = [refined[0][0], max(refined, key=lambda r: r[1])[0]] if refined else [None, None]
    row: dict[str, Any] = {"outcome": answer.outcome}
    if answer.why:
        row["why"] = answer.why
    row.update({v: error_row(crop, T, t) for v, T, t in zip(VARIANTS, chosen, ms)})
    return row


def error_row(crop: Crop, T: Array | None, ms: float) -> dict[str, Any]:
    """Errors of a pose (null where there is none) and the milliseconds that it took (null where the method was not run)."""
    found = real.plain(real.errors(crop.model, [] if T is None else [T], crop.T_label))
    row: dict[str, Any] = {name: None if found[name] is None else float(f"{found[name]:.4g}") for name in ERRORS}
    return {**row, "ms": round(ms, 1) if np.isfinite(ms) else None}


def hit(row: dict[str, Any], name: str = "mssd_depth") -> bool:
    """Whether an error is within 10 % of the diameter."""
    return row[name] is not None and row[name] <= real.THRESHOLD


def median_ms(found: Sequence[dict[str, Any]]) -> float:
    """Of the rows with a time; NaN where none has one."""
    return results.percentile([row["ms"] for row in found if row["ms"] is not None], 50)


def better_variant(found: Sequence[dict[str, Any]]) -> str:
    """The way to choose that hits more of these labels, the faster one of two that hit as many."""
    hits = {v: sum(hit(row[v]) for row in found) for v in VARIANTS}
    return min(VARIANTS, key=lambda v: (-hits[v], np.nan_to_num(median_ms([row[v] for row in found]))))
