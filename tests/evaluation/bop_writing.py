"""Writes a small BOP set of a floating box: exact depth, masks, models with a half-turn as symmetry."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from pose_node.evaluation.runs.depth_rendering import render_depth
from pose_node.geometry import se3

K = np.array([[300.0, 0.0, 79.5], [0.0, 300.0, 59.5], [0.0, 0.0, 1.0]])
SHAPE = (120, 160)
SIZE_M = np.array([0.10, 0.06, 0.04])
CORNERS_M = (np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T - 0.5) * SIZE_M
QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
FACES = np.array([face for a, b, c, d in QUADS for face in ((a, b, c), (a, c, d))])
HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])


def pose(x_m: float, turn=(0.4, -0.3, 0.2)) -> np.ndarray:
    return se3.transform(se3.exp_so3(np.array(turn)), np.array([x_m, 0.01, 0.6]))


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    lines = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    lines += [" ".join(map(repr, map(float, v))) for v in vertices] + ["3 " + " ".join(map(str, f)) for f in faces]
    path.write_text("\n".join(lines) + "\n")


def write_models(folder: Path, name: str = "", **facts) -> None:
    """models/ with object 1, the box, in millimetres."""
    folder.mkdir(parents=True)
    low, diameter = 1000 * CORNERS_M.min(axis=0), float(1000 * np.linalg.norm(SIZE_M))
    info = {"diameter": diameter, **{f"min_{a}": v for a, v in zip("xyz", low)}, **facts}
    (folder / "models_info.json").write_text(json.dumps({"1": info}))
    write_ply(folder / "obj_000001.ply", 1000 * CORNERS_M, FACES)
    if name:
        (folder / "names.json").write_text(json.dumps({"1": name}))


def write_scene(scene: Path, frames: dict[int, list[np.ndarray]], object_id: int = 1) -> None:
    """A scene whose frames show the box at the given T_camera_object; depth in tenths of a millimetre."""
    for name in ("depth", "mask_visib"):
        (scene / name).mkdir(parents=True)
    cameras, truths, infos = {}, {}, {}
    for number, poses in frames.items():
        each = np.array([render_depth(CORNERS_M, FACES, T, K, SHAPE) for T in poses])
        nearest = np.where(each > 0, each, np.inf).min(axis=0)
        depth = np.where(np.isfinite(nearest), nearest, 0.0)
        Image.fromarray(np.rint(depth * 10_000).astype(np.uint16)).save(scene / "depth" / f"{number:06d}.png")
        for k, one in enumerate(each):
            mask = (one > 0) & (one == depth)
            Image.fromarray((255 * mask).astype(np.uint8)).save(scene / "mask_visib" / f"{number:06d}_{k:06d}.png")
        cameras[number] = {
            "cam_K": K.ravel().tolist(),
            "depth_scale": 0.1,
            "cam_R_w2c": np.eye(3).ravel().tolist(),
            "cam_t_w2c": [0.0, 0.0, 1000.0],
        }
        truths[number] = [
            {"obj_id": object_id, "cam_R_m2c": T[:3, :3].ravel().tolist(), "cam_t_m2c": (1000 * T[:3, 3]).tolist()}
            for T in poses
        ]
        infos[number] = [{"visib_fract": 1.0 - 0.25 * k} for k in range(len(poses))]
    for name, values in (("scene_camera", cameras), ("scene_gt", truths), ("scene_gt_info", infos)):
        (scene / f"{name}.json").write_text(json.dumps(values))
