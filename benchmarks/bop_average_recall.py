"""Average recall end to end: ours and that of bop_toolkit's scripts, on the same poses, each with its own renderer.

    git clone https://github.com/thodan/bop_toolkit && pip install vispy PyOpenGL imageio pypng pytz
    python -m benchmarks.bop_average_recall --toolkit bop_toolkit       -> results/bop_average_recall.json

The poses are the labels of ``ycbv``, moved by up to about 1.5 cm and 15 degrees, so that all thresholds are exercised. The
toolkit renders with OpenGL, without a screen through EGL. It expects the scene numbers of YCB-V's test set (48 to 59) and
models of all 21 objects, so the set is laid out for it in a folder of links.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, results
from pose_node.evaluation.records import EstimateRecord, FrameRecord
from pose_node.evaluation.run_folder import RESULTS
from pose_node.evaluation.runs.label_matching import match
from pose_node.evaluation.runs.reference_model import read_models_info, reference_of_set
from pose_node.evaluation.runs.results_csv import ResultsCsv
from pose_node.evaluation.sources.bop import BopFolder
from pose_node.geometry import se3

KINDS = ("vsd", "mssd", "mspd")
FIRST_SCENE, OBJECTS = 48, 21
TURN_RAD, SHIFT_M = 0.25, 0.015  # standard deviations of the largest motions; the least are none


def moved_labels(folder: Path, out: Path, seed: int) -> tuple[dict[str, float], list[dict[str, int]]]:
    """Write ``results.csv`` of moved labels with the toolkit's scene numbers; our recalls, and the toolkit's targets."""
    source, info, rng = BopFolder(folder, "none"), read_models_info(folder / "models"), np.random.default_rng(seed)
    truths = {
        i: reference_of_set(source.names[i], i, info[i], folder / "models" / f"obj_{i:06d}.ply")
        for i in source.labelled
    }
    scenes = sorted({frame.scene for frame in source.frames()})
    recalls: list[Mapping[str, float]] = []
    targets = []
    with ResultsCsv(out, {truth.name: i for i, truth in truths.items()}) as csv:
        for frame in source.frames():
            estimates = []
            number = FIRST_SCENE + scenes.index(frame.scene)
            for label in frame.labels:  # one instance of each object in this set
                share = rng.uniform()
                motion = se3.transform(
                    se3.exp_so3(rng.normal(0, TURN_RAD * share, 3)), rng.normal(0, SHIFT_M * share, 3)
                )
                T, truth = label.T_camera_object @ motion, truths[label.bop_id]
                estimates.append(EstimateRecord(truth.name, T, 1.0, np.eye(6)))
                (one,) = match(truth, [(T, 1.0)], [label.T_camera_object], frame.cloud, frame.depth_m)
                recalls.append(one.recall)
                targets.append({"scene_id": number, "im_id": int(frame.frame), "obj_id": label.bop_id, "inst_count": 1})
            csv.frame(FrameRecord(str(number), frame.frame, 0, None, {}, 1.0, estimates=tuple(estimates)))
    return {kind: float(np.mean([one[kind] for one in recalls])) for kind in KINDS}, targets


def lay_out(folder: Path, target: Path) -> None:
    """The set in the toolkit's layout; an object that the set has no model of gets another's, which is never evaluated."""
    (target / "test").mkdir(parents=True)
    (target / "models_eval").mkdir()
    scenes = sorted(path for path in (folder / "scenes").iterdir() if (path / "scene_gt.json").is_file())
    for i, scene in enumerate(scenes):
        (target / "test" / f"{FIRST_SCENE + i:06d}").symlink_to(scene)
    info = json.loads((folder / "models" / "models_info.json").read_text())
    some = next(iter(info))
    for i in range(1, OBJECTS + 1):
        mine = str(i) if str(i) in info else some
        info[str(i)] = info[mine]
        (target / "models_eval" / f"obj_{i:06d}.ply").symlink_to(folder / "models" / f"obj_{int(mine):06d}.ply")
    (target / "models_eval" / "models_info.json").write_text(json.dumps(info))


def toolkit_scores(toolkit: Path, work: Path) -> dict[str, Any]:
    """Run the toolkit's script on ``work`` and read its scores."""
    environment = {
        **os.environ,
        "EGL_PLATFORM": "surfaceless",
        "BOP_PATH": str(work),
        "BOP_RESULTS_PATH": str(work),
        "BOP_EVAL_PATH": str(work),
        "PYTHONPATH": os.pathsep.join([str(toolkit), os.environ.get("PYTHONPATH", "")]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    script = [sys.executable, str(toolkit / "scripts" / "eval_bop19_pose.py"), "--renderer_type=vispy"]
    subprocess.run(
        [*script, "--result_filenames=moved_ycbv-test.csv", "--num_workers=1"],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    scores: dict[str, Any] = json.loads((work / "moved_ycbv-test" / "scores_bop19.json").read_text())
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toolkit", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = data.data_folder() / "ycbv"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        ours, targets = moved_labels(folder, work, options.seed)
        lay_out(folder.resolve(), work / "ycbv")
        (work / "ycbv" / "test_targets_bop19.json").write_text(json.dumps(targets))
        (work / RESULTS).rename(work / "moved_ycbv-test.csv")
        theirs = toolkit_scores(options.toolkit.resolve(), work)
    figures = {"labels": float(len(targets)), "ours_ar": float(np.mean(list(ours.values())))}
    figures["toolkit_ar"] = theirs["bop19_average_recall"]
    for kind in KINDS:
        figures[f"ours_ar_{kind}"] = ours[kind]
        figures[f"toolkit_ar_{kind}"] = theirs[f"bop19_average_recall_{kind}"]
    figures["largest_difference"] = max(
        abs(figures[k] - figures[k.replace("ours", "toolkit")]) for k in figures if "ours" in k
    )
    path = results.write_result(
        "bop_average_recall",
        f"python -m benchmarks.bop_average_recall --toolkit bop_toolkit --seed {options.seed}",
        figures,
    )
    print(path.read_text())


if __name__ == "__main__":
    main()
