"""Mirrored parts: scores of true parts against their mirror images; nothing was trained on either.

    python -m benchmarks.mirror                      -> results/mirror.json
    python -m benchmarks.mirror --views 40           a partial run, printed and not written

Parts: the chiral ones of ``learning.chiral_parts``. ``<part>_gap_rel`` is the distance of the mirror image from the part (95th
percentile of the surface distance at the best rigid fit, in diameters, both ways). Each part is added as an object in a scratch
folder (``--scratch``, default in the cache folder). It is then estimated, with the benchmark's views and the segment's mask, in
scenes of the part itself and of its mirror image from the same seeds. The score is that of the estimate, or of the best rejected
pose, or 0.

A view counts where the difference is visible: the noise-free visible surface of the mirror image, fitted to the true part (ICP
from 240 rotations, one way), still has its 95th percentile more than 3 % of the diameter away. A view of the true part counts
by the same rule, fitted to the mirror image. (``all_auc``: every view.)

Figures of a part: auc; mirrored_rejected and true_accepted at the default threshold; true_recall (accepted and within 5
degrees and 10 %).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from benchmarks import data, rendered, results, rows
from pose_node.arrays import Array
from pose_node.geometry import se3
from pose_node.geometry.symmetry import rotation_grid

FIRST_SEED = 780_000
SEEN_REL = 0.03


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """The probability that a positive scores above a negative, ties counting half; NaN when either is empty."""
    if not len(positive) or not len(negative):
        return float("nan")
    rank = rankdata(np.concatenate([positive, negative]))[: len(positive)].sum()
    return float((rank - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


def view_gap(seen: Array, model: Array, normals: Array, starts: int = 240, seed: int = 0) -> float:
    """Residual of seen points [N, 3] fitted to a model [M, 3] with outward normals: 95th percentile of the distance, metres.

    ICP from ``starts`` rotations with 60 points, the best sixteen again with 300. ``seen`` must come in a frame in which the
    viewpoint is at the origin, so that each start can put it onto the side of the model that would face the viewpoint.
    """
    rng = np.random.default_rng(seed)
    tree = cKDTree(model)
    few = seen[rng.choice(len(seen), min(60, len(seen)), replace=False)]
    many = seen[rng.choice(len(seen), min(300, len(seen)), replace=False)]
    towards = -seen.mean(axis=0) / np.linalg.norm(seen.mean(axis=0))
    R = rotation_grid(starts)  # R_model_camera
    facing = (normals @ (R @ towards)[..., None])[..., 0] > 0.1  # [S, M]
    weight = facing + 1e-6  # no normal may face the viewpoint: then the mean of all
    centre = weight @ model / weight.sum(axis=1, keepdims=True)
    t = centre - R @ seen.mean(axis=0)
    R, t = _icp(R, t, few, tree, model, 12)
    order = np.argsort(_gap(R, t, few, tree))[:16]
    R, t = _icp(R[order], t[order], many, tree, model, 25)
    return float(_gap(R, t, many, tree).min())


def _icp(R: Array, t: Array, points: Array, tree: cKDTree, model: Array, steps: int) -> tuple[Array, Array]:
    """Point-to-point ICP of all starts at once: R [S, 3, 3], t [S, 3]."""
    mean = points.mean(axis=0)
    for _ in range(steps):
        near = model[tree.query(np.einsum("sij,nj->sni", R, points) + t[:, None])[1]]
        goal = near.mean(axis=1)
        R = se3.project_so3(np.einsum("sni,nj->sij", near - goal[:, None], points - mean))
        t = goal - np.einsum("sij,j->si", R, mean)
    return R, t


def _gap(R: Array, t: Array, points: Array, tree: cKDTree) -> Array:
    moved = np.einsum("sij,nj->sni", R, points) + t[:, None]
    return np.percentile(tree.query(moved)[0], 95, axis=1)


def ready(part: Any, scratch: Path) -> Path:
    """The part's folder as ``add-object`` makes it, made if it does not exist."""
    import trimesh

    from pose_node.learning.onboard import add_object

    folder = scratch / part.name / part.name
    if not (folder / "card.yaml").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        mesh = folder.parent / "part.ply"
        trimesh.Trimesh(part.vertices_m, part.faces, process=False).export(mesh)
        add_object(mesh, part.name, folder.parent, units="m", symmetry="none")
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    from pose_node.learning.chiral_parts import chiral_parts, mirror_gap

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=None)
    parser.add_argument("--views", type=int, default=200, help="of each part and of each mirror image")
    parser.add_argument("--parts", type=int, default=0, help="only the first so many parts (0: all)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    pairs = chiral_parts()
    pairs = pairs[: options.parts or len(pairs)]
    scratch = options.scratch or data.cache_folder() / "mirror"

    figures: dict[str, float] = {}
    pooled: dict[str, list[float]] = {"true": [], "mirrored": []}
    for number, (part, _) in enumerate(pairs):
        folder = ready(part, scratch)
        mark = rows.fingerprint([folder], options.config, code=[Path(__file__), Path(rendered.__file__)])
        keys = [f"{side}|{FIRST_SEED + i}" for side in ("true", "mirrored") for i in range(options.views)]
        setting = (folder, number, options.config)
        found = rows.measure(f"mirror/{part.name}-{mark}", keys, _one, _prepare_worker, setting, options.jobs)
        mine = figures_of(dict(zip(keys, found)), pooled)
        mine["gap_rel"] = mirror_gap(part)
        figures.update({f"{part.name}_{k}": v for k, v in mine.items()})
        for key, value in mine.items():
            print(f"{part.name}_{key}: {value:.4g}", flush=True)
    figures["parts"] = len(pairs)
    figures["auc_min"] = min(v for k, v in figures.items() if k.endswith("_auc") and not k.endswith("_all_auc"))
    figures["auc_pooled"] = auc(pooled["true"], pooled["mirrored"])
    print(f"auc_min: {figures['auc_min']:.4g}\nauc_pooled: {figures['auc_pooled']:.4g}")
    if options.parts == 0 and options.views >= 200:
        results.write_result("mirror", "python -m benchmarks.mirror", figures, options.output)
    else:
        print("a partial run: nothing written")


def figures_of(found: dict[str, dict[str, Any]], pooled: dict[str, list[float]]) -> dict[str, float]:
    """A part's figures; the scores that count are also added to ``pooled``."""
    every = {side: [r for k, r in found.items() if k.startswith(side)] for side in ("true", "mirrored")}
    seen = {side: [r for r in group if r["gap"] > SEEN_REL] for side, group in every.items()}
    score = {side: [r["score"] for r in group] for side, group in seen.items()}
    for side, values in score.items():
        pooled[side] += values
    return {
        "auc": auc(score["true"], score["mirrored"]),
        "all_auc": auc(*([r["score"] for r in every[side]] for side in ("true", "mirrored"))),
        "true_views": len(seen["true"]),
        "mirrored_views": len(seen["mirrored"]),
        "mirrored_rejected": results.share([not r["accepted"] for r in seen["mirrored"]]),
        "true_accepted": results.share([r["accepted"] for r in seen["true"]]),
        "true_recall": results.share([r["hit"] for r in seen["true"]]),
        "true_score_median": results.percentile(score["true"], 50),
        "mirrored_score_median": results.percentile(score["mirrored"], 50),
    }


_worker: dict[str, Any] = {}


def _prepare_worker(folder: Path, number: int, config: Path | None) -> None:
    import pose_node

    pipeline = pose_node.Pipeline.load([folder], config=config)
    _worker.update(pipeline=pipeline, card=pipeline.cards[folder.name], number=number)
    _sides.cache_clear()


@lru_cache(maxsize=1)
def _sides() -> dict[str, tuple[Any, Array, Array]]:
    """side -> (views, surface points and normals of the OTHER side)."""
    from pose_node.learning import shapes
    from pose_node.learning.chiral_parts import chiral_parts
    from pose_node.learning.view_settings import BENCHMARK
    from pose_node.learning.views import ViewSampler

    card = _worker["card"]
    part, mirror_image = chiral_parts()[_worker["number"]]
    clutter = shapes.held_out_set(rendered.CLUTTER_COUNT, first_seed=rendered.CLUTTER_SEED)
    across = np.array([-1.0, 1.0, 1.0])
    points, normals = card.surface.points_m[:4000], card.surface.normals[:4000]

    def sampler(shape: Any, centre: Array) -> Any:
        return ViewSampler(shape.vertices_m, shape.faces, card.diameter_m, centre, clutter, BENCHMARK)

    return {
        "true": (sampler(part, card.centre_m), points * across, normals * across),
        "mirrored": (sampler(mirror_image, card.centre_m * across), points, normals),
    }


def _one(key: str) -> dict[str, Any]:
    side, seed = key.split("|")
    views, other, other_normals = _sides()[side]
    pipeline, card = _worker["pipeline"], _worker["card"]
    view = views.view(int(seed))
    cloud, mask = rendered.measured(view)
    result = pipeline.estimate(cloud, masks={card.name: [mask]})
    row: dict[str, Any] = {"accepted": bool(result.estimates), "hit": False}
    scores = [e.score for e in result.estimates] or [r.score or 0.0 for r in result.rejected] or [0.0]
    row["score"] = float(max(scores))
    if side == "true" and result.estimates:
        turn, shift = rendered.pose_errors(result.estimates[0].T_camera_object, view.T_camera_object, card)
        row["hit"] = bool(turn < rendered.HIT_DEG and shift < rendered.HIT_REL)
    seen = se3.apply(view.T_camera_object, view.visible_object_m)
    row["gap"] = view_gap(seen, other, other_normals) / card.diameter_m if len(seen) >= 30 else 0.0
    return row


if __name__ == "__main__":
    main()
