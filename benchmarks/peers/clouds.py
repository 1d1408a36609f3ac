"""Clouds for the peers: the model's surface and the measured points, downsampled, with normals."""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_node.arrays import Array

VOXEL, NORMAL_RADIUS = 0.02, 0.06  # diameters


def model_cloud(vertices_m: Array, faces: Any, diameter_m: float, voxel: float = VOXEL, seed: int = 0) -> Any:
    """An Open3D cloud of the model's surface with outward normals, downsampled to ``voxel`` diameters."""
    import open3d as o3d
    import trimesh

    mesh = trimesh.Trimesh(vertices_m, faces, process=False)
    points, face = trimesh.sample.sample_surface(mesh, 20_000, seed=seed)
    outward = 1.0 if mesh.volume >= 0 else -1.0
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.normals = o3d.utility.Vector3dVector(outward * mesh.face_normals[face])
    return cloud.voxel_down_sample(voxel * diameter_m)


def crop_cloud(points_m: Array, viewpoint_m: Array, diameter_m: float, voxel: float = VOXEL) -> Any:
    """An Open3D cloud of measured points [N, 3], downsampled, with normals turned to the viewpoint."""
    import open3d as o3d

    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points_m)).voxel_down_sample(voxel * diameter_m)
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamRadius(NORMAL_RADIUS * diameter_m))
    cloud.orient_normals_towards_camera_location(np.asarray(viewpoint_m, float))
    return cloud


def features(cloud: Any, radius_m: float) -> Any:
    """Open3D's FPFH of a cloud with normals (Rusu, Blodow and Beetz, ICRA 2009)."""
    import open3d as o3d

    return o3d.pipelines.registration.compute_fpfh_feature(cloud, o3d.geometry.KDTreeSearchParamHybrid(radius_m, 100))


def one_thread() -> None:
    """Limit OpenCV to one thread (Open3D's are set by OMP_NUM_THREADS before the process starts), and Open3D quiet."""
    import cv2
    import open3d as o3d

    cv2.setNumThreads(1)
    o3d.utility.set_verbosity_level(o3d.utility.VerbosityLevel.Error)
