"""The first hypothesis, before any refinement: how often it is right, on real crops with true masks.

    python -m benchmarks.peers.kept --sets ycbv ycbv_demo ycbv_pseudo ycb_realsense     once: the peers' answers
    python -m benchmarks.first_hypothesis                       -> results/first_hypothesis.json, its rows included
    python -m benchmarks.first_hypothesis --backbone DIR        another backbone: printed, not written

Every label of the sets with at least 32 measured points is one trial. The backbone has seen none of their objects; a bank is made of the data set's mesh. Errors are
those of the first pose against the label, up to ``symmetries_depth``: rotation in degrees, and MSSD in diameters.

- median_deg; below_5, below_10, below_15: shares of the labels by rotation error; mssd: share with MSSD below 10 %.
- any_mssd: the same for the best of the first ten hypotheses.
- own_network: the networks that each object had until version 0.4, trained for ten minutes an object, on the labels of the
  twelve objects that had one. They are gone; the rows in results/first_hypothesis_own.json were measured with that version.
  ours_same: ours on the same labels.
- ms: median of network, matching and consensus for a crop, one thread, processor time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import data, results
from benchmarks.crops import Crop, crops
from benchmarks.methods import points_of
from benchmarks.set_objects import label_counts
from pose_node.arrays import Array
from pose_node.config import InferConfig
from pose_node.evaluation import metrics
from pose_node.geometry import symmetry
from pose_node.measurement.sampling import LEAST_POINTS, sample_segment
from pose_node.network.backbone import Backbone
from pose_node.network.input import scaled
from pose_node.network.match_evidence import camera_poses
from pose_node.network.matching import consensus, match_to_bank
from pose_node.objects.bank import Bank, load_bank, save_bank

SETS = ("ycbv", "ycbv_demo", "ycbv_pseudo", "ycb_realsense")
PEERS = ("ransac", "ppf")
OWN = results.FOLDER / "first_hypothesis_own.json"
CONSIDERED = 10  # hypotheses of any_mssd
RIGHT_REL = 0.1


def bank_of(model: data.Model, backbone: Backbone) -> Bank:
    """The bank of a data set's model, kept in the cache."""
    from pose_node.learning import bank_building, bank_view
    from pose_node.learning.mesh import Mesh

    owner = model.path.parents[1].name
    made_by = hashlib.sha256(b"".join(Path(m.__file__).read_bytes() for m in (bank_building, bank_view))).hexdigest()
    path = data.cache_folder() / "banks" / f"{backbone.sha256[:16]}_{made_by[:8]}" / f"{owner}_{model.object_id}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        bank = bank_building.build_bank(
            Mesh(model.vertices_m, model.faces, model.diameter_m), model.centre_m, backbone, []
        )
        save_bank(path, bank)
    return load_bank(path)


def hypotheses(points_m: Array, viewpoint_m: Array, model: data.Model, bank: Bank, backbone: Backbone) -> Array:
    """T_camera_object [B, 4, 4] of the points under a mask, best first."""
    prepared = scaled(sample_segment(points_m, viewpoint_m), model.diameter_m)
    matches, R = match_to_bank(prepared, backbone.run(prepared), bank, backbone.temperature, model.centre_m)
    R, t, _ = consensus(matches, R, model.symmetry_depth, CONSIDERED)
    return camera_poses(matches, R, t)


def errors(poses: Sequence[Array], crop: Crop) -> dict[str, float]:
    """Errors of the first pose, and the best MSSD of the first ten; large ones where there is no pose."""
    model = crop.model
    if not len(poses):
        return {"rotation_deg": 180.0, "mssd": 9.0, "any_mssd": 9.0}
    rel = [
        metrics.mssd(model.hull_m, T, crop.T_label, model.symmetries_depth) / model.diameter_m
        for T in poses[:CONSIDERED]
    ]
    turn = np.degrees(symmetry.rotation_error(poses[0], crop.T_label, model.symmetry_depth))
    return {"rotation_deg": round(float(turn), 2), "mssd": round(rel[0], 4), "any_mssd": round(min(rel), 4)}


def figures_of(rows: Sequence[Mapping[str, float]], prefix: str) -> dict[str, float]:
    """The figures of one method."""
    turn, mssd, best = (np.array([row[key] for row in rows]) for key in ("rotation_deg", "mssd", "any_mssd"))
    out: dict[str, float] = {f"{prefix}_labels": len(rows), f"{prefix}_median_deg": round(float(np.median(turn)), 2)}
    out.update({f"{prefix}_below_{limit}": round(float((turn < limit).mean()), 4) for limit in (5, 10, 15)})
    out[f"{prefix}_mssd"] = round(float((mssd < RIGHT_REL).mean()), 4)
    out[f"{prefix}_any_mssd"] = round(float((best < RIGHT_REL).mean()), 4)
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--backbone", type=Path, default=data.ROOT / "models" / "backbone")
    options = parser.parse_args(arguments)
    backbone = Backbone(options.backbone, InferConfig(provider="cpu"))
    ours: dict[str, dict[str, float]] = {}
    peers: dict[str, dict[str, dict[str, float]]] = {name: {} for name in PEERS}
    ms = []
    for set_name in options.sets:
        answers = _peers_answers(set_name)
        for object_id in tqdm(label_counts(set_name), desc=set_name, unit="object"):
            for crop in crops(set_name, object_id):
                points_m = points_of(crop)
                if len(points_m) < LEAST_POINTS:
                    continue
                bank = bank_of(crop.model, backbone)
                start = time.process_time()
                poses = hypotheses(points_m, crop.cloud.viewpoint_m, crop.model, bank, backbone)
                ms.append(1000.0 * (time.process_time() - start))
                ours[crop.key] = errors(list(poses), crop)
                for name, answer in answers.get(crop.key, {}).items():
                    if name in peers:
                        peers[name][crop.key] = errors(answer.poses, crop)
    own = json.loads(OWN.read_text())
    figures = figures_of(list(ours.values()), "ours") | {"ours_ms": round(float(np.median(ms)), 1)}
    for set_name in options.sets:
        figures |= figures_of([r for key, r in ours.items() if key.startswith(f"{set_name}/")], f"ours_{set_name}")
    for name, rows in peers.items():
        if rows:
            figures |= figures_of(list(rows.values()), name)
    known = [key for key in ours if key in own]
    figures |= figures_of([own[key] for key in known], "own_network")
    figures |= figures_of([ours[key] for key in known], "ours_same")
    for key, value in figures.items():
        print(f"{key}: {value:g}")
    if tuple(options.sets) == SETS and options.backbone == data.ROOT / "models" / "backbone":
        rows = [{"label": key, **row} for key, row in ours.items()]
        more = {"backbone": backbone.sha256, "rows": rows}
        print(results.write_result("first_hypothesis", "python -m benchmarks.first_hypothesis", figures, more=more))


def _peers_answers(set_name: str) -> dict[str, dict[str, Any]]:
    """Label -> peer -> its answer, as far as ``benchmarks.peers.kept`` has asked them."""
    from benchmarks.peers import kept

    return kept.load(set_name)


if __name__ == "__main__":
    main()
