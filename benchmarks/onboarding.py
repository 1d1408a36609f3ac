"""From a mesh to the first pose: seconds on one core, memory and folder size against the number of triangles.

    python -m benchmarks.onboarding                         -> results/onboarding.json
    python -m benchmarks.onboarding --faces 1000 20000      a partial run, printed and not written

A part (a hook with a hole, without symmetry) is subdivided to each number of triangles and written as STL. A process of its own, on
one thread, runs ``pose_node add-object`` and then ``Pipeline.load`` and ``estimate`` on a rendered depth image.

- <faces>_add_s: seconds of add-object, imports included; <faces>_pose_s: of loading and the first pose after it;
  _cpu_s: processor time of both. <faces>_memory_mb: peak of the process. <faces>_folder_mb: size of the object's folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import data, results
from benchmarks.speed import THREADS

FACES = (1_000, 10_000, 100_000, 1_000_000)
BACKBONE = data.ROOT / "models" / "backbone"

_CHILD = """
import json, resource, sys, time
begin, begin_cpu = time.perf_counter(), time.process_time()
from pose_node.cli import main
mesh, models = sys.argv[1:]
assert main(["add-object", mesh, "--name", "part", "--units", "mm", "--models", models]) == 0
added = time.perf_counter()
import numpy as np
from pose_node import Cloud, Pipeline
from pose_node.geometry.se3 import exp_so3, transform
pipeline = Pipeline.load([models + "/part"])
card = pipeline.cards["part"]
T = transform(exp_so3(np.array([0.6, -0.4, 0.3])), np.array([0.0, 0.0, 0.7]))
points = card.surface.points_m @ T[:3, :3].T + T[:3, 3]
facing = np.einsum("ni,ni->n", card.surface.normals @ T[:3, :3].T, points) < 0
cloud = Cloud.from_points(points[facing])
result = pipeline.estimate(cloud, masks={"part": [np.ones(len(cloud), bool)]})
ended = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000.0
print(json.dumps({"add_s": added - begin, "pose_s": ended - added, "cpu_s": time.process_time() - begin_cpu,
                  "memory_mb": peak, "found": len(result.estimates)}))
"""


def write_part(path: Path, faces: int) -> int:
    """A part of about this many triangles, in millimetres, as STL; returns how many it has."""
    import trimesh

    box = trimesh.creation.box((80.0, 40.0, 20.0))
    arm = trimesh.creation.box((20.0, 20.0, 60.0)).apply_translation((30.0, 5.0, 25.0))
    peg = trimesh.creation.cylinder(8.0, 40.0, sections=48).apply_translation((-25.0, -8.0, 20.0))
    part = trimesh.util.concatenate([box, arm, peg])
    while len(part.faces) < faces:
        longest = float(part.edges_unique_length.max())
        vertices, triangles = trimesh.remesh.subdivide_to_size(part.vertices, part.faces, 0.5 * longest, max_iter=60)
        finer = trimesh.Trimesh(vertices, triangles, process=False)
        if len(finer.faces) > 1.5 * faces:
            share = np.argsort(-part.area_faces, kind="stable")[: max((faces - len(part.faces)) // 3, 1)]
            finer = part.subdivide(face_index=share)
        part = finer
    part.export(path)
    return len(part.faces)


def measure(faces: int) -> dict[str, float]:
    """The figures of one mesh."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").mkdir()
        (folder / "models" / "backbone").symlink_to(BACKBONE)
        count = write_part(folder / "part.stl", faces)
        command = [sys.executable, "-c", _CHILD, str(folder / "part.stl"), str(folder / "models")]
        path = os.pathsep.join([str(data.ROOT), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            command, env={**os.environ, **THREADS, "PYTHONPATH": path}, capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        size = sum(p.stat().st_size for p in (folder / "models" / "part").iterdir())
    return {"faces": count, **{k: round(v, 2) for k, v in found.items()}, "folder_mb": round(size / 1e6, 2)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", nargs="+", type=int, default=list(FACES))
    options = parser.parse_args(arguments)
    figures = {}
    for faces in options.faces:
        figures |= {f"{faces}_{key}": value for key, value in measure(faces).items()}
        print({key: value for key, value in figures.items() if key.startswith(f"{faces}_")}, flush=True)
    if tuple(options.faces) == FACES:
        print(results.write_result("onboarding", "python -m benchmarks.onboarding", figures))


if __name__ == "__main__":
    main()
