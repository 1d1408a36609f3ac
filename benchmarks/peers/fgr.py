"""Open3D's FPFH features and Fast Global Registration (Zhou, Park and Koltun, ECCV 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.peers.clouds import crop_cloud, features, model_cloud
from pose_node.arrays import Array
from pose_node.geometry import se3


@dataclass(frozen=True)
class Setting:
    """voxel, radius of the features: in diameters; reach: of a match, in voxels; tuples: matches kept by its tuple test;
    starts: seeds of that test, each of which gives a pose."""

    voxel: float = 0.03
    radius: float = 0.20
    reach: float = 1.5
    tuples: int = 1000
    starts: int = 1


class Fgr:
    """One model with its features."""

    settings: ClassVar[dict[str, Setting]] = {
        "plain": Setting(),
        "fine": Setting(voxel=0.02, radius=0.15),
        "fine_near": Setting(voxel=0.02, radius=0.15, reach=0.5),
        "fine_10_starts": Setting(voxel=0.02, radius=0.15, tuples=5000, starts=10),
    }

    def __init__(self, vertices_m: Array, faces: Any, diameter_m: float, setting: Setting):
        self.diameter_m, self.setting = diameter_m, setting
        self.model = model_cloud(vertices_m, faces, diameter_m, setting.voxel)
        self.features = features(self.model, setting.radius * diameter_m)

    def poses(self, points_m: Array, viewpoint_m: Array) -> list[Array]:
        """T_camera_object [4, 4] of every start that matched anything, the one with most matches first."""
        import open3d as o3d

        registration = o3d.pipelines.registration
        crop = crop_cloud(points_m, viewpoint_m, self.diameter_m, self.setting.voxel)
        found_features = features(crop, self.setting.radius * self.diameter_m)
        option = registration.FastGlobalRegistrationOption(
            maximum_correspondence_distance=self.setting.reach * self.setting.voxel * self.diameter_m,
            decrease_mu=True,
            maximum_tuple_count=self.setting.tuples,
        )
        found = []
        for seed in range(self.setting.starts):
            o3d.utility.random.seed(seed)
            result = registration.registration_fgr_based_on_feature_matching(
                crop, self.model, found_features, self.features, option
            )
            T = np.array(result.transformation)
            # Without a tuple that passes its test, Open3D returns the identity: a failure, not a pose.
            if result.fitness > 0 and not np.array_equal(T, np.eye(4)):
                found.append((result.fitness, se3.invert(T)))
        return [T for _, T in sorted(found, key=lambda f: -f[0])]
