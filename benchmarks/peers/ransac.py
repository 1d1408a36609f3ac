"""Open3D's FPFH features, matched mutually, and RANSAC with edge and distance checks over all of its iterations.

Stopping at confidence 0.999 was faster and worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.peers.clouds import crop_cloud, features, model_cloud
from pose_node.arrays import Array
from pose_node.geometry import se3


@dataclass(frozen=True)
class Setting:
    """voxel, radius of the features: in diameters; starts: seeds, each of which gives a pose."""

    voxel: float = 0.03
    radius: float = 0.20
    iterations: int = 100_000
    starts: int = 1


class Ransac:
    """One model with its features."""

    settings: ClassVar[dict[str, Setting]] = {
        "iterations_100k": Setting(),
        "iterations_30k_3_starts": Setting(iterations=30_000, starts=3),
        "iterations_100k_3_starts": Setting(starts=3),
        "fine": Setting(voxel=0.02, radius=0.15),
    }

    def __init__(self, vertices_m: Array, faces: Any, diameter_m: float, setting: Setting):
        self.diameter_m, self.setting = diameter_m, setting
        self.model = model_cloud(vertices_m, faces, diameter_m, setting.voxel)
        self.features = features(self.model, setting.radius * diameter_m)

    def poses(self, points_m: Array, viewpoint_m: Array, first_seed: int = 0) -> list[Array]:
        """T_camera_object [4, 4] of every start that matched anything, the one with most matches first."""
        import open3d as o3d

        registration = o3d.pipelines.registration
        crop = crop_cloud(points_m, viewpoint_m, self.diameter_m, self.setting.voxel)
        found_features = features(crop, self.setting.radius * self.diameter_m)
        distance = 1.5 * self.setting.voxel * self.diameter_m
        found = []
        for seed in range(first_seed, first_seed + self.setting.starts):
            o3d.utility.random.seed(seed)
            # The crop is registered to the model: every crop point lies on the model, but most of the model is not in the crop.
            result = registration.registration_ransac_based_on_feature_matching(
                crop,
                self.model,
                found_features,
                self.features,
                True,
                distance,
                registration.TransformationEstimationPointToPoint(False),
                3,
                [
                    registration.CorrespondenceCheckerBasedOnEdgeLength(0.9),
                    registration.CorrespondenceCheckerBasedOnDistance(distance),
                ],
                registration.RANSACConvergenceCriteria(self.setting.iterations, 1.0),
            )
            if result.fitness > 0:
                found.append((result.fitness, se3.invert(np.array(result.transformation))))
        return [T for _, T in sorted(found, key=lambda f: -f[0])]
