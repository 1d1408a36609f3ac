"""What the modules of earlier versions are called now, said to whoever imports one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

# All names are below pose_node. In these rooms only the folder is new; _RENAMED has what got another name, too.
_ROOMS = {
    "evaluation": "metrics",
    "evaluation.figures": "curves intervals summarise track_figures tracks",
    "evaluation.report": "bag_depth compare index page pictures svg tables terminal track_charts track_table",
    "evaluation.runs": "bag_run cluster poses_mcap processes progress results_csv workers",
    "evaluation.sources": "bag_labels bags bop realsense recordings scans source",
    "geometry": "harmonics normals se3 symmetry",
    "measurement": "checks cloud image_files scene thinning viewpoint",
    "messages": "camera_file compressed_depth convert rvl tf_buffer transforms",
    "objects": "card",
    "pose": "covariance outline refine",
    "ros": "demo detector_process interfaces memory node worker",
    "tracking": "existence follow stream",
}
_RENAMED = {
    "candidates": "detection.size_match",
    "evaluation.carried": "evaluation.runs.portable_pipeline",
    "evaluation.charts": "evaluation.report.label_charts",
    "evaluation.match": "evaluation.runs.label_matching",
    "evaluation.messages": "evaluation.runs.ros_messages",
    "evaluation.middle": "evaluation.figures.median_pose",
    "evaluation.motion": "evaluation.report.estimate_charts",
    "evaluation.newest": "evaluation.sources.realtime",
    "evaluation.paired": "evaluation.figures.paired_differences",
    "evaluation.ply": "objects.mesh_file",
    "evaluation.raster": "evaluation.runs.depth_rendering",
    "evaluation.run": "evaluation.runs.set_run",
    "evaluation.salvage": "evaluation.sources.sequential_reader",
    "evaluation.topics": "evaluation.sources.topic_selection",
    "evaluation.track_lanes": "evaluation.report.track_timeline",
    "evaluation.track_section": "evaluation.report.report",
    "evaluation.truth": "evaluation.runs.reference_model",
    "evaluation.unlabelled": "evaluation.figures.consistency",
    "evaluation.wording": "evaluation.report.formatting",
    "frames": "messages.pairing",
    "fusion": "tracking.motion_models",
    "group": "geometry.symmetry_group",
    "infer": "network.object_network",
    "jsonfile": "evaluation.sources.json_file",
    "judge": "pose.selection",
    "learning.stray": "learning.stray_bodies",
    "lookup": "objects.surface_lookup",
    "parts": "detection.surface_pieces",
    "pixels": "measurement.image_view",
    "prepare": "measurement.sampling",
    "proposals": "pose.blind_search",
    "ros_messages": "ros.publish",
    "ros_parameters": "ros.parameters",
    "ros_status": "ros.status",
    "ros_subscription": "ros.subscription",
    "search": "detection.recognition",
    "segment": "detection.segmentation",
    "smoothing": "pose.depth_smoothing",
    "track": "tracking.tracker",
    "visibility": "pose.likelihood",
}
_STABLE = {"cloud": "pose_node.Cloud"}


def _was(room: str, name: str) -> str:
    """Evaluation's folders are new inside evaluation; every other file lay in the package's own folder."""
    return f"evaluation.{name}" if room.startswith("evaluation.") else name


MOVED = {_was(room, name): f"{room}.{name}" for room, names in _ROOMS.items() for name in names.split()} | _RENAMED


class _MovedFinder(MetaPathFinder):
    """The last finder that Python asks: it finds nothing, and says where a module of an earlier version is."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Raises ModuleNotFoundError for an old name, and leaves every other name to Python."""
        package, _, old = fullname.partition(".")
        if package == "pose_node" and old in MOVED:
            stable = f"; the stable name is {_STABLE[old]}" if old in _STABLE else ""
            # Without name=: ``from pose_node import cloud`` drops an error that has the name which it asked for.
            raise ModuleNotFoundError(f"{fullname} is pose_node.{MOVED[old]} now{stable}.")


def install() -> None:
    """Ask the finder after all others, so that it costs a valid import nothing."""
    sys.meta_path.append(_MovedFinder())
