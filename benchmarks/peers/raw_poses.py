"""Raw poses of PPF and FPFH + RANSAC on the labelled crops of the six objects, for ``benchmarks.real``.

    python -m benchmarks.peers                     raw poses of all crops -> benchmarks/results/peers_poses.json

Only the raw poses are made and stored here, because they do not change; ``benchmarks.real`` refines them. A crop that is
already in the file is not run again. Both get the crop's points under the mask (``clouds.py``).

- ppf5, ppf7: a sampling step of 5 % (clouds scaled to a diameter of 2, crop sampling 3 %) and of 7 % (diameter 1, crop sampling
  5 %). On flat-sided objects ppf5 is not run (see ``ppf.py``); ppf7 is used instead.
- ransac: three seeds. The best of seven settings tried on the same crops.
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
from benchmarks.peers import OBJECTS, PEERS, Ransac, one_thread, ppf, ransac
from pose_node.arrays import Array
from pose_node.measurement.cloud import Cloud

METHODS = {
    "ppf5": ("ppf", ppf.Setting(0.05, 0.03, scale=2.0)),
    "ppf7": ("ppf", ppf.Setting(0.07, 0.05)),
    "ransac": ("ransac", ransac.Setting()),
}
FLAT_SIDED = ("gelatin_box", "potted_meat_can")
POSES = results.FOLDER / "peers_poses.json"
RANSAC_SEEDS = (0, 1, 2)


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
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
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
            name_of_peer, setting = METHODS[method]
            peer = PEERS[name_of_peer](model.vertices_m, model.faces, model.diameter_m, setting)
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
