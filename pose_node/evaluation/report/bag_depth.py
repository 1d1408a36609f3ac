"""The depth images of the frames that a bag's report draws, read in a second pass over the recording."""

from __future__ import annotations

from pathlib import Path

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation.report.pictures import DepthOf, drawn_frames
from pose_node.evaluation.run_folder import Run
from pose_node.evaluation.sources.bags import BagFrames
from pose_node.evaluation.sources.source import depth_image


def depth_of_bag(path: Path, run: Run) -> DepthOf:
    """(scene, frame) -> depth [H, W] in metres and K [3, 3], for the frames of a run over ``path`` that are drawn.

    The function returned raises InputError for a frame without a pinhole image. Frames are identified by their stamps: a run
    that dropped frames numbers them differently.
    """
    drawn = drawn_frames(run)
    keys = {(f.scene, f.stamp_ns): (f.scene, f.frame) for f in run.frames if (f.scene, f.frame) in drawn}
    found: dict[tuple[str, str], tuple[Array, Array]] = {}
    read = run.info.config["bag"]
    topics = {role: read[role] for role in ("depth", "info", "points") if read.get(role)}
    for frame in BagFrames(path, topics=topics, depth_scale_mm=read.get("depth_scale_mm")) if keys else ():
        key = keys.get((frame.scene, frame.stamp_ns))
        if key and frame.cloud is not None and (depth_m := depth_image(frame.cloud)) is not None:
            found[key] = (depth_m, frame.cloud.K)

    def depth(scene: str, frame: str) -> tuple[Array, Array]:
        if (scene, frame) not in found:
            raise InputError(f"{path}: found no depth image for frame {frame} of {scene}, expected one to draw.")
        return found[scene, frame]

    return depth
