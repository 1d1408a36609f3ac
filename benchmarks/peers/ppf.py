"""OpenCV's point-pair features: ``cv2.ppf_match_3d.PPF3DDetector`` (Drost et al., CVPR 2010), 30 angles.

OpenCV merges poses nearer than the sampling step as an absolute length, so the scale of the clouds determines how much is
averaged. Averaged votes shrink the 3x3 matrices, which are projected onto SO(3). OpenCV's default step of 5 % is not a setting
here: its hash table degenerates on flat-sided objects (gelatin_box: 4 minutes of training, 10 minutes a crop), and on others 5 of
12 crops exceeded the 30 s of a call (``ppf5`` in results/peers_poses.json).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.peers.clouds import crop_cloud, model_cloud
from pose_node.arrays import Array
from pose_node.geometry import se3

KEPT = 10  # poses with most votes


@dataclass(frozen=True)
class Setting:
    """step: of the model's sampling and distances, in diameters; scene_step: the crop's; every: one crop point in so many votes;
    scale: the diameter after scaling."""

    step: float
    scene_step: float
    every: int = 5
    scale: float = 1.0


class Ppf:
    """One model, trained (seconds to minutes; OpenCV cannot store it on disk)."""

    settings: ClassVar[dict[str, Setting]] = {
        "step7": Setting(0.07, 0.05),
        "step10": Setting(0.10, 0.05),
        "step10_merging_less": Setting(0.10, 0.05, scale=2.0),
        "step10_fine_crop": Setting(0.10, 0.03),
    }

    def __init__(self, vertices_m: Array, faces: Any, diameter_m: float, setting: Setting):
        import cv2

        self.diameter_m, self.setting, self.scale = diameter_m, setting, setting.scale / diameter_m
        self.detector = cv2.ppf_match_3d_PPF3DDetector(setting.step, setting.step, 30)
        self.detector.trainModel(self._array(model_cloud(vertices_m, faces, diameter_m)))

    def poses(self, points_m: Array, viewpoint_m: Array) -> list[Array]:
        """T_camera_object [4, 4], most votes first."""
        crop = self._array(crop_cloud(points_m, viewpoint_m, self.diameter_m))
        found = self.detector.match(crop, 1.0 / self.setting.every, self.setting.scene_step)
        return [
            se3.transform(se3.project_so3(pose.pose[:3, :3]), pose.pose[:3, 3] / self.scale)
            for pose in found[:KEPT]
            if np.isfinite(pose.pose).all()
        ]

    def _array(self, cloud: Any) -> Any:
        return np.hstack([np.asarray(cloud.points) * self.scale, np.asarray(cloud.normals)]).astype(np.float32)
