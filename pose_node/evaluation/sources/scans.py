"""Range scans with ground truth: ``scenes/NAME.ply`` and ``gt.json`` {NAME: {obj_id, T_cloud_object, units}}.

A scan is a point cloud without an image, taken from a distant viewpoint on the +z axis. The translation of
``T_cloud_object`` and the points are in the entry's units.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import InputError, PoseNodeError
from pose_node.evaluation.sources.bop_files import read_names
from pose_node.evaluation.sources.source import Frame, Label
from pose_node.geometry import se3
from pose_node.measurement.cloud import Cloud
from pose_node.objects.mesh_file import read_ply
from pose_node.types import Rejected

GROUND_TRUTH = "gt.json"
_UNITS = {"mm": 1000.0, "m": 1.0}
_VIEWPOINT_DISTANCE = (
    4.0  # distance of the viewpoint from the scan's centre, in extents of the scan: laser scanners are far away
)


class Scans:
    """A folder of range scans as a ``Source``; raises InputError for an invalid ``gt.json``."""

    notes: list[str]

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.names = read_names(self.folder)
        path = self.folder / GROUND_TRUTH
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            self._scans = []
            for name, entry in sorted(entries.items()):
                per_metre = _UNITS[entry.get("units", "mm")]
                T = np.array(entry["T_cloud_object"], float).reshape(4, 4)
                T = se3.transform(se3.project_so3(T[:3, :3]), T[:3, 3] / per_metre)
                self._scans.append((name, per_metre, Label(int(entry["obj_id"]), 0, T)))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{path}: cannot be read ({type(error).__name__}: {error}), expected {{scan: {{obj_id, T_cloud_object}}}}."
            ) from None
        self.has_truth, self.notes = True, []
        self.labelled = dict(Counter(label.bop_id for *_, label in self._scans))

    def __len__(self) -> int:
        return len(self._scans)

    def frames(self) -> Iterator[Frame]:
        """All scans by name; one that cannot be read is a refused frame with the reason."""
        for name, per_metre, label in self._scans:
            # Every scan is a scene of its own: the object from another side.
            frame = Frame(Path(name).stem, Path(name).stem, None, (label,))
            try:
                frame = replace(frame, cloud=self._cloud(name, per_metre))
            except PoseNodeError as error:
                reason = str(error).replace(f"{self.folder}/", "")
                frame = replace(frame, refused=Rejected(getattr(error, "code", "scan_unreadable"), reason))
            yield frame

    def _cloud(self, name: str, per_metre: float) -> Cloud:
        points = read_ply(self.folder / "scenes" / name)[0] / per_metre
        if len(points) == 0:
            raise InputError(f"{self.folder / 'scenes' / name}: found no points, expected a scan.", "scan_unreadable")
        centre, extent = (points.min(axis=0) + points.max(axis=0)) / 2, np.linalg.norm(np.ptp(points, axis=0))
        return Cloud.from_points(points, centre + np.array([0.0, 0.0, _VIEWPOINT_DISTANCE * extent]))

    def depth(self, scene: str, frame: str) -> tuple[Array, Array]:
        """Raises InputError: a scan is no image."""
        raise InputError(f"{self.folder}: found scans, expected depth images to draw on.")
