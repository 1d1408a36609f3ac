"""What can be seen without labels: where each object was said to be over time, in the fixed frame where the camera moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pose_node.evaluation.figures.median_pose import twists_from_median
from pose_node.evaluation.records import EstimateRecord, FrameRecord
from pose_node.evaluation.report import page
from pose_node.evaluation.report.svg import Chart, Scale

_MOST = 12  # objects that are drawn


def motion_charts(frames: Sequence[FrameRecord]) -> list[str]:
    """Position, turn and score of each object's best estimate over time: three charts an object and scene, none of a scene
    whose frames are all of one time."""
    paths: dict[tuple[str, str], list[tuple[FrameRecord, EstimateRecord]]] = defaultdict(list)
    for frame in frames:
        best: dict[str, EstimateRecord] = {}
        for estimate in frame.estimates:
            if estimate.object_name not in best or estimate.score > best[estimate.object_name].score:
                best[estimate.object_name] = estimate
        for name, estimate in best.items():
            paths[frame.scene, name].append((frame, estimate))
    scenes = {scene for scene, _ in paths}
    charts = []
    for (scene, name), path in sorted(paths.items())[:_MOST]:
        first = min(f.stamp_ns for f in frames if f.scene == scene)
        last = max(f.stamp_ns for f in frames if f.scene == scene)
        if first == last:
            continue
        charts += _of_one(name if len(scenes) == 1 else f"{name}, {scene}", path, first, last)
    return charts


def _of_one(title: str, path: list[tuple[FrameRecord, EstimateRecord]], first_ns: int, last_ns: int) -> list[str]:
    fixed = all(frame.T_fixed_camera is not None for frame, _ in path)
    poses = np.stack([(f.T_fixed_camera if fixed else np.eye(4)) @ e.T_camera_object for f, e in path])
    seconds = np.array([(f.stamp_ns - first_ns) * 1e-9 for f, _ in path])
    time = Scale(0.0, max((last_ns - first_ns) * 1e-9, 1e-3))
    where = "fixed frame" if fixed else "camera frame: nobody recorded how the camera moved"
    off = twists_from_median(poses)
    off_mm, angle = 1000.0 * off[:, :3], np.degrees(np.linalg.norm(off[:, 3:], axis=1))
    reach = max(float(np.percentile(np.abs(off_mm), 98)) * 1.2, 1.0)
    position = Chart(time, Scale(-reach, reach), "seconds", "mm from the median")
    for axis in range(3):
        position.dots(seconds, off_mm[:, axis], axis, radius=1.8)
    turn = Chart(time, Scale(0.0, max(float(angle.max()) * 1.1, 1.0)), "seconds", "degrees")
    turn.dots(seconds, angle, 3, radius=1.8)
    score = Chart(time, Scale(0.0, 1.0), "seconds", "score")
    score.dots(seconds, [e.score for _, e in path], 2, radius=1.8)
    beyond = int((np.abs(off_mm) > reach).any(axis=1).sum())
    edge = f"; {beyond} further off, at the edge" if beyond else ""
    return [
        page.figure(f"{title}: position", position.svg(f"Position of {title}"), where + edge, {"x": 0, "y": 1, "z": 2}),
        page.figure(f"{title}: turn", turn.svg(f"Turn of {title}"), "from the middle orientation, symmetry not undone"),
        page.figure(f"{title}: score", score.svg(f"Score of {title}"), f"{len(path)} frames with an estimate"),
    ]
