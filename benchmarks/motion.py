"""Tracks of a static object while the camera moves around it: their spread, and whether their covariance is right.

    python -m benchmarks.motion              -> results/motion.json (about 35 min)

Rendered: an object stands on a table 1 m away. The camera moves on an arc of 60 degrees within 20 s, with the vertical motion
and roll of an arm. Depth has structured-light noise with nominal parameters, new in every frame. No masks.

For each object and condition:

- spread in the fixed frame: 95th percentile of the distance from the median, of the object's centre and of the rotation, up to
  symmetry, after the first 2 s; of tracks, and of frame-by-frame estimates (``alone``);
- flips: rotations of more than 30 degrees between two frames;
- error against the truth, and NEES: its squared Mahalanobis distance by the stated covariance, mean over frames, a degree of
  freedom (6, or 5 of a round object).

Conditions: ``plain``. ``dropped``: 30 % of the frames are missing. ``hidden``: the object is occluded for 2 s; its identity
must be found again. ``erring``: camera and mesh have errors, too, as the stated covariance assumes: each run draws an offset
and a scale of depth for all its frames (within 2 mm and 0.5 %), and a smooth deviation of the object from its mesh (within 1 mm).

nees_low, nees_high: the 95 % interval of the mean NEES a degree of freedom of as many runs, if the covariance is right. The
errors of one run's frames are correlated, so a run counts once.

``apc_shelf``: 15 real frames from a robot's moving camera, true masks: spread of tracks and of frame-by-frame estimates.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2
from tqdm import tqdm

from benchmarks import data, results
from benchmarks.set_objects import config_of, object_folder
from pose_node.arrays import Array
from pose_node.geometry import se3, symmetry
from pose_node.learning.mesh import load_mesh
from pose_node.learning.noise import Calibration, StructuredLight
from pose_node.learning.noise_effects import mesh_error
from pose_node.learning.render import Instance, Plane, Renderer, Window, render
from pose_node.measurement.cloud import Cloud
from pose_node.objects.card import ObjectCard
from pose_node.objects.mesh_file import vertex_normals
from pose_node.pipeline import Pipeline
from pose_node.types import Estimate, Track

OBJECTS = ("mustard_bottle", "gelatin_box", "bowl", "mug")
K = np.array([[570.3, 0.0, 319.5], [0.0, 570.3, 239.5], [0.0, 0.0, 1.0]])
SIZE = (640, 480)
SECONDS, RANGE_M, ARC_DEG = 20.0, 1.0, 60.0
RATE_HZ, SEEDS = 30.0, 2  # a camera's rate, at which the node tracks (node_rate)
EVERY = 6  # only every so many frames are estimated alone: they are independent and slow
SETTLED_S = 2.0
FLIP_DEG = 30.0
HIDDEN_S = (9.0, 11.0)
CONDITIONS = ("plain", "dropped", "hidden", "erring")
RUNS = {"plain": SEEDS, "erring": SEEDS}  # of the others one
MESH_ERROR_M = 0.001
SENSOR = StructuredLight(variation=0.0, calibration=Calibration(0.0, 0.0))


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame: depth_m [H, W], when, from where, and where the object is."""

    depth_m: Any
    stamp_ns: int
    T_fixed_camera: Array
    T_fixed_object: Array

    def cloud(self) -> Cloud:
        return Cloud.from_depth(self.depth_m.astype(float), K, stamp_ns=self.stamp_ns)


def path(rate_hz: float) -> list[tuple[int, Array]]:
    """(stamp_ns, T_fixed_camera) of the camera's path around the origin of the fixed frame, whose z is up."""
    out = []
    for i in range(round(SECONDS * rate_hz)):
        share = i / (SECONDS * rate_hz)
        around = np.radians(ARC_DEG) * (share - 0.5)
        up = np.radians(40.0 + 5.0 * np.sin(2.0 * np.pi * 2.0 * share))
        away = np.array([np.cos(up) * np.sin(around), -np.cos(up) * np.cos(around), np.sin(up)])
        T = se3.look_at(RANGE_M * away, np.zeros(3), np.array([0.0, 0.0, 1.0]))
        roll = se3.exp_so3(np.array([0.0, 0.0, np.radians(8.0) * np.sin(2.0 * np.pi * 1.5 * share)]))
        out.append((10**12 + round(i * 1e9 / rate_hz), T @ se3.transform(roll, np.zeros(3))))
    return out


def shots(card: ObjectCard, seed: int, rate_hz: float, condition: str) -> list[Shot]:
    """The frames of one run."""
    rng = np.random.default_rng([seed, 17])
    mesh = load_mesh(card.mesh_path, units="m")
    vertices, faces = np.asarray(mesh.vertices_m), np.asarray(mesh.faces)
    drawn = np.random.default_rng([seed, 19])
    if condition == "erring":
        bent_m = mesh_error(vertices, card.diameter_m, MESH_ERROR_M * drawn.random(), drawn)
        vertices = vertices + bent_m[:, None] * vertex_normals(vertices, faces)
    body = Renderer(vertices, faces)
    turn = se3.exp_so3(np.array([0.0, 0.0, rng.uniform(0.0, 2.0 * np.pi)]))
    lowest = float(np.asarray(mesh.vertices_m)[:, 2].min())
    T_fixed_object = se3.transform(turn, -turn @ card.centre_m)
    floor = T_fixed_object[2, 3] + lowest
    out = []
    for i, (stamp_ns, T) in enumerate(tqdm(path(rate_hz), desc=f"{card.name} {condition}", unit="frame")):
        if condition == "dropped" and rng.random() < 0.3:
            continue
        T_camera_fixed = se3.invert(T)
        up = T_camera_fixed[:3, 2]
        table = Plane(up, float(up @ T_camera_fixed[:3, 3] + floor))
        shot = render([Instance(body, T_camera_fixed @ T_fixed_object)], K, Window(0, 0, *SIZE), table)
        depth = SENSOR.apply(shot.depth_m, shot.ids, shot.cosine, K, np.random.default_rng([seed, 18, i]))
        if condition == "erring":
            depth = Calibration().apply(depth, 1.0, deepcopy(drawn))  # the same draw in every frame
        if condition == "hidden" and HIDDEN_S[0] <= i / rate_hz < HIDDEN_S[1]:
            depth = np.full_like(depth, 0.4)
        out.append(Shot(depth, stamp_ns, T, T_fixed_object))
    return out


@dataclass(eq=False)
class Run:
    """T_fixed_object [N, 4, 4] and covariances [N, 6, 6] in the fixed frame, by stamp, with the identities of the tracks."""

    T: list[Array] = field(default_factory=list)
    covariance: list[Array] = field(default_factory=list)
    stamp_ns: list[int] = field(default_factory=list)
    identity: list[int] = field(default_factory=list)

    def add(self, tracks: Sequence[Track], stamp_ns: int) -> None:
        """The best of the tracks that the frame shows, if any."""
        best = max((t for t in tracks if t.estimate is not None), key=lambda t: t.score, default=None)
        if best is not None:
            self._add(best.T_fixed_object, best.covariance, stamp_ns, best.track_id)

    def add_estimate(self, estimates: Sequence[Estimate], T_fixed_camera: Array, stamp_ns: int) -> None:
        """The best estimate of a frame, if any."""
        if estimates:
            turned = se3.rotate_covariance(T_fixed_camera[:3, :3], estimates[0].covariance)
            self._add(T_fixed_camera @ estimates[0].T_camera_object, turned, stamp_ns, 0)

    def _add(self, T: Array, covariance: Array, stamp_ns: int, identity: int) -> None:
        self.T.append(T)
        self.covariance.append(covariance)
        self.stamp_ns.append(stamp_ns)
        self.identity.append(identity)


def tracked(pipeline: Pipeline, frames: Sequence[Shot]) -> Run:
    """The estimates of the frames in order, as in the node."""
    run = Run()
    pipeline.reset()
    for frame in frames:
        run.add(pipeline.step(frame.cloud(), frame.T_fixed_camera).tracks, frame.stamp_ns)
    return run


def alone(pipeline: Pipeline, frames: Sequence[Shot]) -> Run:
    """The estimates of each frame by itself."""
    run = Run()
    for frame in frames:
        run.add_estimate(pipeline.estimate(frame.cloud()).estimates, frame.T_fixed_camera, frame.stamp_ns)
    return run


def figures_of(run: Run, card: ObjectCard, T_true: Array | None, start_ns: int) -> dict[str, float]:
    """Spread, flips and, with the truth, errors of one run."""
    late = [i for i, stamp in enumerate(run.stamp_ns) if stamp - start_ns >= SETTLED_S * 1e9]
    if len(late) < 3:
        return {"frames": len(run.T)}
    T = np.stack([run.T[i] for i in late])
    reference = T[0]
    for _ in range(3):
        near = symmetry.nearest_symmetric(reference, T, card.symmetry)
        centre = near[:, :3, :3] @ card.centre_m + near[:, :3, 3]
        R = se3.mean_so3(near[:, :3, :3])
        reference = se3.transform(R, np.median(centre, axis=0) - R @ card.centre_m)
    median = np.median(centre, axis=0)
    off_m = np.linalg.norm(centre - median, axis=1)
    off_deg = np.degrees(symmetry.rotation_error(reference[None], T, card.symmetry))
    # As published, not up to symmetry: a user sees every rotation.
    between = np.degrees(se3.angle(np.swapaxes(T[:-1, :3, :3], -1, -2) @ T[1:, :3, :3]))
    out = {
        "frames": len(run.T),
        "spread_mm": results.percentile(off_m * 1000.0, 95),
        "spread_deg": results.percentile(off_deg, 95),
        "flips": int((between > FLIP_DEG).sum()),
        "identities": len(set(run.identity)),
    }
    if T_true is not None:
        near = symmetry.nearest_symmetric(T, np.broadcast_to(T_true, T.shape), card.symmetry)
        error = np.concatenate(
            [near[:, :3, 3] - T[:, :3, 3], se3.log_so3(near[:, :3, :3] @ np.swapaxes(T[:, :3, :3], -1, -2))], axis=1
        )
        nees = [float(e @ np.linalg.solve(run.covariance[i], e)) for e, i in zip(error, late)]
        out["error_mm"] = results.percentile(
            1000.0 * np.linalg.norm((near - T)[:, :3] @ np.append(card.centre_m, 1.0), axis=1), 50
        )
        out["error_deg"] = results.percentile(np.degrees(np.linalg.norm(error[:, 3:], axis=1)), 50)
        out["nees_mean"] = float(np.mean(nees))
        out["nees_per_dof"] = float(np.mean(nees)) / (5 if card.symmetry.axes else 6)
    return out


def shelf() -> dict[str, float]:
    """Spread of tracks and of frame-by-frame estimates in the real frames of ``apc_shelf``, with true masks."""
    pipeline = Pipeline.load([object_folder("apc_shelf", 1)], config=config_of("apc_shelf"))
    (card,) = pipeline.cards.values()
    scene = data.data_folder() / "apc_shelf" / "scenes"
    tracks, singles = Run(), Run()
    for number, frame in enumerate(data.frames("apc_shelf")):
        camera = json.loads((scene / frame.scene / "scene_camera.json").read_text())[str(frame.frame)]
        T_camera_fixed = se3.transform(
            se3.project_so3(np.array(camera["cam_R_w2c"], float).reshape(3, 3)), np.array(camera["cam_t_w2c"]) / 1000.0
        )
        T_fixed_camera = se3.invert(T_camera_fixed)
        cloud = Cloud.from_depth(frame.depth_m, frame.K, stamp_ns=10**12 + number * 200_000_000)
        masks = {card.name: [frame.labels[0].mask]}
        tracks.add(pipeline.step(cloud, T_fixed_camera, masks).tracks, cloud.stamp_ns)
        singles.add_estimate(pipeline.estimate(cloud, masks).estimates, T_fixed_camera, cloud.stamp_ns)
    found: dict[str, float] = {}
    for name, run in (("tracked", tracks), ("alone", singles)):
        figures = figures_of(run, card, None, 0)
        found.update({f"apc_shelf_{name}_{key}": value for key, value in figures.items()})
    return found


def measure(name: str, conditions: Sequence[str], seeds: int | None, rate_hz: float) -> dict[str, float]:
    """All figures of one object; ``seeds`` in place of each condition's own number of runs."""
    pipeline = Pipeline.load([results.ROOT / "models" / name])
    card = pipeline.cards[name]
    figures: dict[str, float] = {}
    for condition in conditions:
        runs = []
        for seed in range(1, 1 + (seeds or RUNS.get(condition, 1))):
            frames = shots(card, seed, rate_hz, condition)
            first = frames[0]
            runs.append(figures_of(tracked(pipeline, frames), card, first.T_fixed_object, first.stamp_ns))
            if condition == "plain" and seed == 1:
                single = figures_of(alone(pipeline, frames[::EVERY]), card, first.T_fixed_object, first.stamp_ns)
                figures.update({f"{name}_alone_{key}": value for key, value in single.items()})
        for key in runs[0]:
            of_all = np.max if key in ("spread_mm", "spread_deg", "flips", "identities") else np.mean
            figures[f"{name}_{condition}_{key}"] = float(of_all([run[key] for run in runs if key in run]))
    for key, value in figures.items():
        print(f"{key}: {value:.4g}", flush=True)
    return figures


def nees(figures: Mapping[str, float], objects: Sequence[str], condition: str, runs: int) -> dict[str, float]:
    """The mean NEES a degree of freedom over objects, and its 95 % interval if the covariance is right."""
    found = [figures[f"{name}_{condition}_nees_per_dof"] for name in objects]
    freedom = 6 * runs * len(objects)
    low, high = chi2.ppf((0.025, 0.975), freedom) / freedom
    return {
        f"{condition}_nees_per_dof": float(np.mean(found)),
        f"{condition}_nees_low": low,
        f"{condition}_nees_high": high,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", nargs="+", default=list(OBJECTS), choices=OBJECTS)
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=CONDITIONS)
    parser.add_argument("--seeds", type=int, default=None, help="runs of each condition")
    parser.add_argument("--rate", type=float, default=RATE_HZ, help=f"frames a second (default: {RATE_HZ:g})")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    figures: dict[str, float] = {}
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        running = [
            pool.submit(measure, name, options.conditions, options.seeds, options.rate) for name in options.objects
        ]
        for one in running:
            figures.update(one.result())
    for condition in options.conditions:
        figures.update(nees(figures, options.objects, condition, options.seeds or RUNS.get(condition, 1)))
    if (data.data_folder() / "apc_shelf").is_dir():
        figures.update(shelf())
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    asked = (options.objects, options.conditions, options.seeds, options.rate)
    if asked == (list(OBJECTS), list(CONDITIONS), None, RATE_HZ):
        results.write_result("motion", "python -m benchmarks.motion", figures, options.output)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
