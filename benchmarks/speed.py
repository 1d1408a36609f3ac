"""From one masked crop to a refined pose, on one thread: ours, PPF and FPFH + RANSAC in the same run, in turn.

    python -m benchmarks.speed               -> results/speed.json (minutes: PPF is slow, and trained first)

Crops: every label of the six objects in ycbv's dev frames. Ours is ``Pipeline.estimate`` with the frame's whole cloud and the true
mask, as in ``benchmarks.real`` (``ours_crop``: the mask's points as a bare cloud). A peer gets the mask's points: downsampling
and normals, its own search (the settings in ``PEERS``), and our coarse and fine refinement of the pose that it ranks first;
``ppf_best_fit`` refines all ten of its poses, as its recall in real.json does. Training of the peers and loading of the models
are not counted. Times are processor time, and methods take turns crop by crop, so that other load affects all alike.

Figures: median and 99th percentile in milliseconds over crops and rounds, medians of our stages (by the wall clock), and the peak
memory of a process that loads one object (mug) and does its crops, once for each method. ``times_faster_than_<peer>``: the ratio of
the medians, ``..._p99`` that of the 99th percentiles; the bars are ``BARS``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, results
from benchmarks.peers import OBJECTS, Ppf, make, one_thread
from pose_node.arrays import Array
from pose_node.measurement.cloud import Cloud
from pose_node.types import Segment

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PEERS = {"ppf": "step7", "ransac": "iterations_100k"}
TURNS = {"ours": 4, "ours_crop": 2, "ppf": 1, "ppf_best_fit": 0, "ransac": 2}  # runs a crop and round
BARS = {"ppf": 20.0, "ransac": 3.0}  # how many times faster ours shall be
MEMORY_OBJECT = "mug"


class Crop:
    """One label: its frame's cloud, the mask, and the mask's points."""

    def __init__(self, frame: data.Frame, label: data.Label) -> None:
        self.name, self.object_id, self.set_name = label.name, label.object_id, frame.set_name
        self.mask = label.mask
        self.cloud = Cloud.from_depth(frame.depth_m, frame.K)
        self.indices = np.flatnonzero(label.mask.ravel()[self.cloud.source_index])
        self.points_m = self.cloud.points_m[self.indices]


def crops_of(objects: Sequence[str]) -> list[Crop]:
    """All labels of these objects."""
    return [Crop(frame, label) for frame in data.frames("ycbv") for label in frame.labels if label.name in objects]


def ours(pipeline: Any, crop: Crop) -> Any:
    """The whole frame with the mask."""
    return pipeline.estimate(crop.cloud, masks={crop.name: [crop.mask]})


def ours_crop(pipeline: Any, crop: Crop) -> Any:
    """The mask's points alone."""
    cloud = Cloud.from_points(crop.points_m, crop.cloud.viewpoint_m)
    return pipeline.estimate(cloud, masks={crop.name: [np.ones(len(crop.points_m), dtype=bool)]})


def peer_pose(peer: Any, pipeline: Any, crop: Crop, clock: dict[str, float] | None = None) -> Array | None:
    """A peer's first pose after our refinement; ``clock`` gets the seconds that refining all of its poses would add."""
    from benchmarks.real import refine
    from pose_node.measurement.scene import Scene

    poses = peer.poses(crop.points_m, crop.cloud.viewpoint_m)
    if not poses:
        return None
    segment = Segment(crop.indices, "mask", crop.name)
    scene = Scene(crop.cloud, {crop.name: pipeline.cards[crop.name]})
    refined = refine(poses[:1], crop.name, segment, scene, pipeline.refiners[crop.name])
    if clock is not None:
        start = time.process_time()
        refine(poses[1:], crop.name, segment, scene, pipeline.refiners[crop.name])
        clock["rest"] = time.process_time() - start
    return refined[0][0]


def measure(
    pipelines: dict[str, Any], peers: dict[str, dict[str, Any]], crops: Sequence[Crop], rounds: int
) -> dict[str, Any]:
    """method -> milliseconds of every run; "stages" -> stage -> milliseconds."""
    from tqdm import tqdm

    ms: dict[str, list[float]] = {name: [] for name in TURNS}
    stages: dict[str, list[float]] = {}
    for crop in crops:  # first calls load libraries and fill caches
        ours(pipelines[crop.name], crop)
    for _ in range(rounds):
        for crop in tqdm(crops, unit="crop"):
            pipeline = pipelines[crop.name]
            for method, call in (("ours", ours), ("ours_crop", ours_crop)):
                for _ in range(TURNS[method]):
                    seconds, result = _timed(lambda: call(pipeline, crop))  # noqa: B023 - called at once
                    ms[method].append(seconds * 1000.0)
                    if method == "ours":
                        for stage, value in result.stage_s.items():
                            stages.setdefault(stage, []).append(value * 1000.0)
            for method in PEERS:
                for _ in range(TURNS[method]):
                    clock: dict[str, float] | None = {} if method == "ppf" else None
                    seconds, _ = _timed(lambda: peer_pose(peers[method][crop.name], pipeline, crop, clock))  # noqa: B023
                    rest = clock.get("rest", 0.0) if clock is not None else 0.0
                    ms[method].append((seconds - rest) * 1000.0)
                    if clock is not None:
                        ms["ppf_best_fit"].append(seconds * 1000.0)
    return {**ms, "stages": stages}


def peak_mb(method: str, models: Path, config: Path | None) -> float:
    """Peak resident memory of a process that does the memory object's crops by one method."""
    command = [sys.executable, "-m", "benchmarks.speed", "--memory", method, "--models", str(models)]
    command += ["--config", str(config)] if config else []
    done = subprocess.run(
        command, cwd=data.ROOT, env={**os.environ, **THREADS}, check=True, capture_output=True, text=True
    )
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mb"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=data.ROOT / "models")
    parser.add_argument("--config", type=Path, default=None)
    parser.add_argument("--objects", nargs="+", default=list(OBJECTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--memory", choices=["ours", *PEERS], help="only load one object, work, and print the peak memory"
    )
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    if options.memory:
        _memory(options.memory, options.models, options.config)
        return
    if any(os.environ.get(k) != v for k, v in THREADS.items()):  # libraries read these when they load
        rest = sys.argv[1:] if arguments is None else list(arguments)
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.speed", *rest], {**os.environ, **THREADS})

    import pose_node

    one_thread()
    crops = crops_of(options.objects)
    pipelines = {n: pose_node.Pipeline.load([options.models / n], config=options.config) for n in options.objects}
    peers: dict[str, dict[str, Any]] = {method: {} for method in PEERS}
    for method, setting in PEERS.items():
        for crop in crops:
            if crop.name not in peers[method]:
                model = data.model(crop.set_name, crop.object_id)
                print(f"training {method} on {crop.name}", flush=True)
                peers[method][crop.name] = make(method, setting, model.vertices_m, model.faces, model.diameter_m)
    found = measure(pipelines, peers, crops, options.rounds)
    figures: dict[str, float] = {"crops": len(crops), "rounds": options.rounds}
    for method in TURNS:
        figures[f"{method}_ms_p50"] = results.percentile(found[method], 50)
        figures[f"{method}_ms_p99"] = results.percentile(found[method], 99)
    for stage, values in found["stages"].items():
        figures[f"ours_{stage}_ms_p50"] = results.percentile(values, 50)
    for method in PEERS:
        for q, suffix in ((50, ""), (99, "_p99")):
            ratio = figures[f"{method}_ms_p{q}"] / figures[f"ours_ms_p{q}"]
            figures[f"times_faster_than_{method}{suffix}"] = ratio
            print(
                f"{method}, percentile {q}: {ratio:.1f} times, bar {BARS[method]:g}: {'met' if ratio >= BARS[method] else 'MISSED'}"
            )
    for method in ("ours", *PEERS):
        figures[f"{method}_peak_mb"] = peak_mb(method, options.models, options.config)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if set(options.objects) == set(OBJECTS):
        results.write_result("speed", "python -m benchmarks.speed", figures, options.output)
    else:
        print("a partial run: nothing written")


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    value = call()
    return time.process_time() - start, value


def _memory(method: str, models: Path, config: Path | None) -> None:
    import pose_node

    folder = models / MEMORY_OBJECT
    crops = crops_of([MEMORY_OBJECT])
    if method == "ours":
        pipeline = pose_node.Pipeline.load([folder], config=config)
        for crop in crops:
            ours(pipeline, crop)
    else:
        one_thread()
        model = data.model(crops[0].set_name, crops[0].object_id)
        peer = make(method, PEERS[method], model.vertices_m, model.faces, model.diameter_m)
        for crop in crops[:1] if isinstance(peer, Ppf) else crops:
            peer.poses(crop.points_m, crop.cloud.viewpoint_m)
    # Not getrusage: its peak is inherited from the parent process.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 1024.0
    print(json.dumps({"peak_mb": round(peak, 1)}))


if __name__ == "__main__":
    main()
