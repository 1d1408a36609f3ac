"""KISS-Matcher (Lim et al., ICRA 2025), from pip.

It is made for outdoor scans and refuses small voxels, so clouds are scaled until the object's diameter is ``DIAMETER``. It turns
normals towards the origin. That is right for a scan seen from there and wrong for a whole model around it, so the model is also
given as views, each with its viewpoint at the origin; every view that matches gives a pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.peers.clouds import model_cloud
from pose_node.arrays import Array
from pose_node.geometry import se3

DIAMETER = 10.0
AWAY = 5.0  # diameters from the model's centre to a viewpoint
AXES = np.concatenate([np.eye(3), -np.eye(3)])
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / np.sqrt(3.0)


@dataclass(frozen=True)
class Setting:
    """voxel: where the diameter is ``DIAMETER``; views: of the model, 0 (the whole model), 6 or 14; features: radius in voxels."""

    voxel: float
    views: int
    features: float = 5.0


class Kiss:
    """One model's points, whole or in views; there is nothing to train."""

    settings: ClassVar[dict[str, Setting]] = {
        "whole_voxel15": Setting(0.15, 0),
        "views6_voxel15": Setting(0.15, 6),
        "views6_voxel20": Setting(0.20, 6),
        "views14_voxel20_wide": Setting(0.20, 14, features=8.0),
    }

    def __init__(self, vertices_m: Array, faces: Any, diameter_m: float, setting: Setting):
        import kiss_matcher

        self.scale = DIAMETER / diameter_m
        cloud = model_cloud(vertices_m, faces, diameter_m, 0.5 * setting.voxel / DIAMETER)
        points, centre = np.asarray(cloud.points), (vertices_m.min(axis=0) + vertices_m.max(axis=0)) / 2
        # (viewpoint [3] in the object frame, visible points relative to it)
        self.views: list[tuple[Array, Any]] = []
        for direction in {0: (), 6: AXES, 14: (*AXES, *CORNERS)}[setting.views]:
            eye = centre + AWAY * diameter_m * direction
            _, seen = cloud.hidden_point_removal(eye, 100.0 * AWAY * diameter_m)
            self.views.append((eye, self._scaled(points[np.asarray(seen)] - eye)))
        if not self.views:
            self.views = [(centre, self._scaled(points - centre))]
        self.config = kiss_matcher.KISSMatcherConfig(voxel_size=setting.voxel, fpfh_r_gain=setting.features)

    def poses(self, points_m: Array, viewpoint_m: Array) -> list[Array]:
        """T_camera_object [4, 4] of every view that matched, the one with most matches that agree first."""
        import kiss_matcher

        matcher = kiss_matcher.KISSMatcher(self.config)
        viewpoint_m = np.asarray(viewpoint_m, float)
        crop = self._scaled(points_m - viewpoint_m)
        found = []
        for eye, seen in self.views:
            result = matcher.estimate(crop, seen)
            if result.valid:
                R, t = se3.project_so3(np.array(result.rotation)), np.array(result.translation) / self.scale
                T_view_crop = se3.transform(R, t)
                T = se3.transform(np.eye(3), viewpoint_m) @ se3.invert(se3.transform(np.eye(3), eye) @ T_view_crop)
                found.append((matcher.get_num_final_inliers(), T))
            matcher.reset()
        return [T for _, T in sorted(found, key=lambda f: -f[0])]

    def _scaled(self, points_m: Array) -> Any:
        return (points_m * self.scale).astype(np.float32)
