"""Charts of a run without labels: the pose of each object's best estimate over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pose_node.evaluation.figures.median_pose import twists_from_median
from pose_node.evaluation.records import EstimateRecord, FrameRecord
from pose_node.evaluation.report.page import Figure
from pose_node.evaluation.report.svg import COLOURS, new_axes, to_svg

AXES_KEY = {"x": "c0", "y": "c1", "z": "c2"}
_MOST = 12  # objects that are drawn


def estimate_charts(frames: Sequence[FrameRecord]) -> list[Figure]:
    """Position, rotation and score of each object's best estimate over time: three charts for each object and scene, none for a
    scene whose frames have one stamp."""
    stamps: dict[str, list[int]] = defaultdict(list)
    found: dict[tuple[str, str], list[tuple[FrameRecord, EstimateRecord]]] = defaultdict(list)
    for frame in frames:
        stamps[frame.scene].append(frame.stamp_ns)
        best: dict[str, EstimateRecord] = {}
        for estimate in sorted(frame.estimates, key=lambda e: -e.score):
            best.setdefault(estimate.object_name, estimate)
        for name, estimate in best.items():
            found[frame.scene, name].append((frame, estimate))
    several = len({scene for scene, _ in found}) > 1
    charts = []
    for (scene, name), estimates in sorted(found.items())[:_MOST]:
        first, last = min(stamps[scene]), max(stamps[scene])
        if first < last:
            charts += _of_object(f"{name}, {scene}" if several else name, estimates, first, last)
    return charts


def limit_of(values: np.ndarray, margin: float = 0.0) -> float:
    """Where the axis of values [N, 3] about zero ends: beyond 98 % of them and the margin, so that outliers do not set the scale."""
    return max(1.2 * (float(np.percentile(np.abs(values), 98)) + margin), 1.0)


def count_beyond(values: np.ndarray, limit: float) -> str:
    """'; 3 frames beyond the limits, drawn at the edge' of values [N, 3]; empty where there are none."""
    count = int((np.abs(values) > limit).any(axis=1).sum())
    return f"; {count} frame{'' if count == 1 else 's'} beyond the axis, drawn at its end" if count else ""


def _of_object(
    title: str, estimates: Sequence[tuple[FrameRecord, EstimateRecord]], first_ns: int, last_ns: int
) -> list[Figure]:
    fixed = all(frame.T_fixed_camera is not None for frame, _ in estimates)
    poses = np.stack([(f.T_fixed_camera if fixed else np.eye(4)) @ e.T_camera_object for f, e in estimates])
    seconds = np.array([(f.stamp_ns - first_ns) * 1e-9 for f, _ in estimates])
    duration = (0.0, (last_ns - first_ns) * 1e-9)
    off = twists_from_median(poses)
    off_mm, angle = 1000.0 * off[:, :3], np.degrees(np.linalg.norm(off[:, 3:], axis=1))
    limit = limit_of(off_mm)
    dots = {"linestyle": "", "marker": "o", "markersize": 3.6, "markeredgewidth": 0, "clip_on": False}

    position = new_axes("seconds", "mm from the median", duration, (-limit, limit))
    for axis, values in enumerate(np.clip(off_mm, -limit, limit).T):
        position.plot(seconds, values, color=COLOURS[axis], **dots)
    rotation = new_axes("seconds", "degrees", duration, (0.0, max(float(angle.max()) * 1.1, 1.0)))
    rotation.plot(seconds, angle, color=COLOURS[3], **dots)
    score = new_axes("seconds", "score", duration, (0.0, 1.0))
    score.plot(seconds, [e.score for _, e in estimates], color=COLOURS[2], **dots)

    frame = "fixed frame" if fixed else "camera frame: the camera's motion was not recorded"
    return [
        Figure(
            f"{title}: position",
            to_svg(position, f"Position of {title}"),
            frame + count_beyond(off_mm, limit),
            AXES_KEY,
        ),
        Figure(f"{title}: rotation", to_svg(rotation, f"Rotation of {title}"), "from the median; symmetry not removed"),
        Figure(f"{title}: score", to_svg(score, f"Score of {title}"), f"{len(estimates)} frames with an estimate"),
    ]
