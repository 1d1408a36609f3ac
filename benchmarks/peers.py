"""The classical peers: OpenCV's point-pair features and Open3D's FPFH + RANSAC, on the same masked points as ours.

    python -m benchmarks.peers                     raw poses of all crops -> benchmarks/results/peers_poses.json

Only their raw poses are made here, and kept, because they do not change: ``benchmarks.real`` refines them with our own
refinement. A crop that is already in the file is not run again.

Settings (the same for all objects)
- both: the crop's points under the mask, thinned to a voxel of 2 % of the diameter; normals from neighbours within 6 %,
  turned to the viewpoint. The model: 20,000 surface samples with outward normals, thinned alike.
- ppf5, ppf7: ``cv2.ppf_match_3d.PPF3DDetector`` with a sampling step of 5 % (clouds scaled to a diameter of 2, every
  fifth scene point votes, scene sampling 3 %) and of 7 % (diameter 1, scene sampling 5 %); 30 angles. OpenCV merges
  poses nearer than the sampling step as an absolute length, so the scale sets how much is averaged. The 3x3 parts are
  projected onto SO(3): averaged votes shrink them. The ten poses with most votes are kept. On flat-sided objects ppf5 is
  not run: its hash table degenerates (gelatin_box: 4 minutes of training, 10 minutes a crop); ppf7 stands in for it.
- ransac: FPFH (voxel 3 %, radius 20 %), mutual matches, edge and distance checks, all of 100,000 iterations (stopping
  at confidence 0.999 was faster and worse); three seeds. The best of seven settings tried on these very crops.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, results
from pose_node import se3
from pose_node.cloud import Cloud
from pose_node.types import Array

OBJECTS = ("mustard_bottle", "gelatin_box", "potted_meat_can", "banana", "bowl", "mug")
METHODS = ("ppf5", "ppf7", "ransac")
FLAT_SIDED = ("gelatin_box", "potted_meat_can")
POSES = results.FOLDER / "peers_poses.json"
VOXEL, NORMAL_RADIUS = 0.02, 0.06
KEPT = 10
RANSAC_SEEDS = (0, 1, 2)


def model_cloud(vertices_m: Array, faces: Any, diameter_m: float, voxel: float = VOXEL, seed: int = 0) -> Any:
    """An Open3D cloud of the model's surface with outward normals, thinned to ``voxel`` diameters."""
    import open3d as o3d
    import trimesh

    mesh = trimesh.Trimesh(vertices_m, faces, process=False)
    points, face = trimesh.sample.sample_surface(mesh, 20_000, seed=seed)
    outward = 1.0 if mesh.volume >= 0 else -1.0
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.normals = o3d.utility.Vector3dVector(outward * mesh.face_normals[face])
    return cloud.voxel_down_sample(voxel * diameter_m)


def crop_cloud(points_m: Array, viewpoint_m: Array, diameter_m: float, voxel: float = VOXEL) -> Any:
    """An Open3D cloud of measured points [N, 3], thinned, with normals turned to the viewpoint."""
    import open3d as o3d

    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points_m)).voxel_down_sample(voxel * diameter_m)
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamRadius(NORMAL_RADIUS * diameter_m))
    cloud.orient_normals_towards_camera_location(np.asarray(viewpoint_m, float))
    return cloud


class Ppf:
    """OpenCV's point-pair features, trained on one model (seconds to minutes; OpenCV cannot keep it on disk)."""

    def __init__(self, vertices_m: Array, faces: Any, diameter_m: float, step: float, scene_step: float, scale: float):
        import cv2

        self.diameter_m, self.scene_step, self.scale = diameter_m, scene_step, scale / diameter_m
        self.detector = cv2.ppf_match_3d_PPF3DDetector(step, step, 30)
        self.detector.trainModel(self._array(model_cloud(vertices_m, faces, diameter_m)))

    def poses(self, points_m: Array, viewpoint_m: Array) -> list[Array]:
        """T_camera_object [4, 4], most votes first."""
        found = self.detector.match(
            self._array(crop_cloud(points_m, viewpoint_m, self.diameter_m)), 0.2, self.scene_step
        )
        out = []
        for pose in found[:KEPT]:
            if np.isfinite(pose.pose).all():
                out.append(se3.transform(se3.project_so3(pose.pose[:3, :3]), pose.pose[:3, 3] / self.scale))
        return out

    def _array(self, cloud: Any) -> Any:
        return np.hstack([np.asarray(cloud.points) * self.scale, np.asarray(cloud.normals)]).astype(np.float32)


class Ransac:
    """Open3D's FPFH features matched by RANSAC."""

    voxel, feature_radius = 0.03, 0.20

    def __init__(self, vertices_m: Array, faces: Any, diameter_m: float):
        self.diameter_m = diameter_m
        self.model = model_cloud(vertices_m, faces, diameter_m, self.voxel)
        self.features = self._features(self.model)

    def poses(self, points_m: Array, viewpoint_m: Array, seed: int = 0) -> list[Array]:
        """One T_camera_object [4, 4], or none when nothing matched."""
        import open3d as o3d

        registration = o3d.pipelines.registration
        crop = crop_cloud(points_m, viewpoint_m, self.diameter_m, self.voxel)
        o3d.utility.random.seed(seed)
        distance = 1.5 * self.voxel * self.diameter_m
        # Model and crop change places: every crop point lies on the model, but most of the model is not in the crop.
        found = registration.registration_ransac_based_on_feature_matching(
            crop,
            self.model,
            self._features(crop),
            self.features,
            True,
            distance,
            registration.TransformationEstimationPointToPoint(False),
            3,
            [
                registration.CorrespondenceCheckerBasedOnEdgeLength(0.9),
                registration.CorrespondenceCheckerBasedOnDistance(distance),
            ],
            registration.RANSACConvergenceCriteria(100_000, 1.0),
        )
        return [se3.invert(np.array(found.transformation))] if found.fitness > 0 else []

    def _features(self, cloud: Any) -> Any:
        import open3d as o3d

        radius = self.feature_radius * self.diameter_m
        return o3d.pipelines.registration.compute_fpfh_feature(cloud, o3d.geometry.KDTreeSearchParamHybrid(radius, 100))


def make(method: str, vertices_m: Array, faces: Any, diameter_m: float) -> Ppf | Ransac:
    """A peer by its name, trained on a model. Raises KeyError for a name not in METHODS."""
    return {
        "ppf5": lambda: Ppf(vertices_m, faces, diameter_m, 0.05, 0.03, 2.0),
        "ppf7": lambda: Ppf(vertices_m, faces, diameter_m, 0.07, 0.05, 1.0),
        "ransac": lambda: Ransac(vertices_m, faces, diameter_m),
    }[method]()


def one_thread() -> None:
    """Keep OpenCV to one thread (Open3D's are set by OMP_NUM_THREADS before the process starts), and Open3D quiet."""
    import cv2
    import open3d as o3d

    cv2.setNumThreads(1)
    o3d.utility.set_verbosity_level(o3d.utility.VerbosityLevel.Error)


def crops(set_name: str, objects: Sequence[str]) -> list[tuple[str, str, int, Array]]:
    """(crop key, object name, object id, points [N, 3] under the true mask) of all labels of these objects."""
    out = []
    for frame in data.frames(set_name):
        cloud = Cloud.from_depth(frame.depth_m, frame.K)
        for label in frame.labels:
            if label.name in objects:
                inside = label.mask.ravel()[cloud.source_index]
                out.append((f"{frame.key}/{label.name}", label.name, label.object_id, cloud.points_m[inside]))
    return out


def load_poses(path: Path = POSES) -> dict[str, Any]:
    """method -> crop key -> {"poses": [[16 numbers]], "ms": number}; for ransac, one pose (or null) a seed."""
    return json.loads(path.read_text()) if path.exists() else {}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", nargs="+", default=["ycbv"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--objects", nargs="+", default=list(OBJECTS))
    parser.add_argument("--output", type=Path, default=POSES)
    options = parser.parse_args(arguments)
    one_thread()
    for method in options.methods:
        for name in options.objects:
            waiting = [
                (set_name, crop)
                for set_name in options.set
                for crop in crops(set_name, [name])
                if crop[0] not in load_poses(options.output).get(method, {})
            ]
            if not waiting or (method == "ppf5" and name in FLAT_SIDED):
                continue
            model = data.model(waiting[0][0], waiting[0][1][2])
            start = time.perf_counter()
            peer = make(method, model.vertices_m, model.faces, model.diameter_m)
            print(f"{method} {name}: trained in {time.perf_counter() - start:.1f} s", flush=True)
            for _, (key, _, _, points) in waiting:
                start = time.perf_counter()
                if isinstance(peer, Ransac):
                    runs = [peer.poses(points, np.zeros(3), seed) for seed in RANSAC_SEEDS]
                    poses = [_flat(run[0]) if run else None for run in runs]
                    seconds = (time.perf_counter() - start) / len(runs)
                else:
                    poses = [_flat(T) for T in peer.poses(points, np.zeros(3))]
                    seconds = time.perf_counter() - start
                found = load_poses(options.output)
                found.setdefault(method, {})[key] = {"poses": poses, "ms": round(seconds * 1000, 1)}
                results.write_text(
                    options.output, json.dumps(found, separators=(",", ":")).replace('"ycb', '\n"ycb') + "\n"
                )
                print(f"{method} {key}: {seconds * 1000:.0f} ms", flush=True)


def _flat(T: Array) -> list[float]:
    return [round(float(x), 9) for x in T.ravel()]


if __name__ == "__main__":
    main()
