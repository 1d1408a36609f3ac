"""Equivariance and determinism: the pose follows a rigid motion of points and viewpoint; point order changes nothing.

    python -m benchmarks.exactness                      -> results/exactness.json
    python -m benchmarks.exactness --motions 60         a partial run, printed and not written

Crops: every label of the six objects in ycbv's dev frames, the points under its true mask (``real_``), and rendered views of
the benchmark protocol, the points of the imperfect segment (``rendered_``). Each crop is a bare cloud,
``Cloud.from_points(points, viewpoint)``, with an all-true mask. Motions: rotation uniform over SO(3), translation uniform in
the ball of 1 m, distributed evenly over the crops, the same in every run.

- pipeline_rotation_deg_*, pipeline_translation_rel_*: the pose of the moved crop against the moved pose of the original crop,
  up to the object's symmetry; translation of the object's centre in diameters. If only one of them is accepted, the error is
  180 degrees and 1 diameter. Crops that are rejected both times are excluded (``_refused``).
- flips: motions that changed accept or reject. modes: motions that changed the rotation by more than 5 degrees.
- onnx_rel_p99, onnx_rel_max: the backbone only: outputs for the moved crop against the moved outputs, largest
  difference of each output over its largest value. prepared_rel_p99: the same of its input, sampling included.
- permutation_differing: of 200 random orders of the points, how many changed a byte of pose, score or covariance.
- rerendered_roll_*, rerendered_arc_*: the object rendered again by a camera that is rolled by a random angle, or moved by 15
  degrees on an arc. Other points and other noise: consistency is measured, not guaranteed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks import data, rendered, results, rows
from benchmarks.peers import OBJECTS
from benchmarks.peers.raw_poses import crops
from pose_node.arrays import Array
from pose_node.geometry import se3
from pose_node.measurement.cloud import Cloud
from pose_node.objects.card import ObjectCard
from pose_node.types import Estimate

FARTHEST_M = 1.0
RENDERED_CROPS = 8  # an object
PERMUTATIONS = 200
RERENDERED = 25  # an object
ARC_DEG = 15.0
MODE_DEG = 5.0
FIRST_SEED = 760_000


def motion(index: int) -> Array:
    """The ``index``-th random motion [4, 4]."""
    rng = np.random.default_rng([index, 11])
    R = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    direction = rng.normal(size=3)
    t = direction / np.linalg.norm(direction) * FARTHEST_M * rng.random() ** (1 / 3)
    return se3.transform(R, t)


def best_estimate(pipeline: Any, name: str, points_m: Array, viewpoint_m: Array) -> Estimate | None:
    """The pipeline's best estimate for a bare crop."""
    cloud = Cloud.from_points(points_m, viewpoint_m)
    result = pipeline.estimate(cloud, masks={name: [np.ones(len(points_m), dtype=bool)]})
    return result.estimates[0] if result.estimates else None


def difference(T: Array, T_expected: Array, card: ObjectCard) -> tuple[float, float]:
    """(degrees, diameters) up to symmetry."""
    degrees, rel = rendered.pose_errors(T, T_expected, card)
    return float(degrees), float(rel)


def compare(found: Estimate | None, base: Estimate | None, T_moved: Array, card: ObjectCard) -> dict[str, Any]:
    """One motion's row."""
    if found is None and base is None:
        return {"refused": True}
    if found is None or base is None:
        return {"turn": 180.0, "shift": 1.0, "flip": True}
    turn, shift = difference(found.T_camera_object, T_moved @ base.T_camera_object, card)
    return {"turn": turn, "shift": shift}


def network_difference(network: Any, points_m: Array, viewpoint_m: Array, T_moved: Array) -> dict[str, float]:
    """Equivariance errors of the exported network and of its input."""
    from pose_node.network.input import prepare

    diameter_m, R = network.card.diameter_m, T_moved[:3, :3]
    before = prepare(points_m, viewpoint_m, diameter_m)
    after = prepare(se3.apply(T_moved, points_m), se3.apply(T_moved, viewpoint_m[None])[0], diameter_m)
    prepared = max(
        relative_difference(after.points, before.points @ R.T),
        relative_difference(after.normals, before.normals @ R.T),
        float((after.centres != before.centres).any()),
    )
    a, b = network.backbone.run(before), network.backbone.run(after)
    worst = [relative_difference(b.descriptors, a.descriptors), relative_difference(b.quality, a.quality)]
    worst.append(relative_difference(b.vectors, a.vectors @ R.T))
    return {"prepared": prepared, "onnx": max(worst)}


def keys_of(kind: str, sources: Sequence[str], motions: int) -> list[str]:
    """``kind|crop|motion``: the motions of each crop in sequence, so that a process prepares each crop once."""
    per_crop = [range(i, motions, len(sources)) for i in range(len(sources))]
    return [f"{kind}|{source}|{index}" for source, indices in zip(sources, per_crop) for index in indices]


def summary(found: Sequence[Mapping[str, Any]], prefix: str) -> dict[str, float]:
    """Percentiles over the motions of one kind of crop."""
    compared = [r for r in found if "turn" in r]
    out: dict[str, float] = {f"{prefix}_motions": len(compared), f"{prefix}_refused": len(found) - len(compared)}
    for q in (50, 99, 100):
        label = "max" if q == 100 else f"p{q}"
        out[f"{prefix}_pipeline_rotation_deg_{label}"] = results.percentile([r["turn"] for r in compared], q)
        out[f"{prefix}_pipeline_translation_rel_{label}"] = results.percentile([r["shift"] for r in compared], q)
    out[f"{prefix}_flips"] = sum(r.get("flip", False) for r in compared)
    out[f"{prefix}_modes"] = sum(r["turn"] > MODE_DEG for r in compared) - out[f"{prefix}_flips"]
    for key in ("onnx", "prepared"):
        values = [r[key] for r in found if key in r]
        out[f"{prefix}_{key}_rel_p99"] = results.percentile(values, 99)
        out[f"{prefix}_{key}_rel_max"] = results.percentile(values, 100)
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=data.ROOT / "models")
    parser.add_argument("--config", type=Path, default=None)
    parser.add_argument("--objects", nargs="+", default=list(OBJECTS))
    parser.add_argument("--motions", type=int, default=1000)
    parser.add_argument("--permutations", type=int, default=PERMUTATIONS)
    parser.add_argument("--rerendered", type=int, default=RERENDERED, help="views an object")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    folders = [options.models / name for name in options.objects]

    real = [key for key, *_ in crops("ycbv", options.objects)]
    made = [f"{name}/{FIRST_SEED + i}" for name in options.objects for i in range(RENDERED_CROPS)]
    keys = keys_of("real", real, options.motions) + keys_of("rendered", made, options.motions)
    keys += keys_of("permutation", [f"real:{k}" for k in real] + [f"rendered:{k}" for k in made], options.permutations)
    moved = [f"{name}/{FIRST_SEED + 1000 + i}" for name in options.objects for i in range(options.rerendered)]
    keys += [f"{way}|{source}|0" for way in ("roll", "arc") for source in moved]

    mark = rows.fingerprint(folders, options.config, code=[Path(__file__), Path(rendered.__file__)])
    found = rows.measure(
        f"exactness/all-{mark}", keys, _one, _prepare_worker, (folders, options.config), options.jobs, chunk=12
    )
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for key, row in zip(keys, found):
        by_kind.setdefault(key.split("|")[0], []).append({"key": key, **row})

    figures: dict[str, float] = {}
    for kind in ("real", "rendered"):
        figures.update(summary(by_kind[kind], kind))
    figures["permutation_differing"] = sum(r["differs"] for r in by_kind.get("permutation", ()))
    figures["permutation_tried"] = len(by_kind.get("permutation", ()))
    for way in ("roll", "arc"):
        compared = [r for r in by_kind.get(way, ()) if "turn" in r]
        for q in (50, 95):
            figures[f"rerendered_{way}_deg_p{q}"] = results.percentile([r["turn"] for r in compared], q)
            figures[f"rerendered_{way}_translation_rel_p{q}"] = results.percentile([r["shift"] for r in compared], q)
        figures[f"rerendered_{way}_flips"] = sum(r.get("flip", False) for r in compared)
        figures[f"rerendered_{way}_views"] = len(compared)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    worst = sorted((r for k in ("real", "rendered") for r in by_kind[k] if "turn" in r), key=lambda r: -r["turn"])[:20]
    for row in worst:
        print(f"worst: {row['key']} {row['turn']:.3g} deg {row['shift']:.3g} d" + (" flip" if row.get("flip") else ""))
    if options.motions >= 1000 and options.permutations >= PERMUTATIONS and set(options.objects) == set(OBJECTS):
        results.write_result("exactness", "python -m benchmarks.exactness", figures, options.output)
    else:
        print("a partial run: nothing written")


def relative_difference(found: Array, expected: Array) -> float:
    """Largest difference, over the largest value expected."""
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-9))


_worker: dict[str, Any] = {}


def _prepare_worker(folders: Sequence[Path], config: Path | None) -> None:
    _worker.update(folders={f.name: f for f in folders}, config=config)


@cache
def _pipeline(name: str) -> Any:
    import pose_node

    return pose_node.Pipeline.load([_worker["folders"][name]], config=_worker["config"])


@lru_cache(maxsize=1)
def _real_crops() -> dict[str, tuple[str, Array]]:
    return {key: (name, points) for key, name, _, points in crops("ycbv", list(_worker["folders"]))}


@cache
def _sampler(name: str) -> Any:
    return rendered.sampler(_pipeline(name).cards[name])


@lru_cache(maxsize=4)
def _crop(kind: str, source: str) -> tuple[str, Array, Array]:
    """(object, points, viewpoint)."""
    if kind == "real":
        name, points = _real_crops()[source]
        return name, points, np.zeros(3)
    name, seed = source.split("/")
    view = _sampler(name).view(int(seed))
    return name, view.points_m, view.viewpoint_m


@lru_cache(maxsize=4)
def _base(kind: str, source: str) -> Estimate | None:
    name, points, viewpoint = _crop(kind, source)
    return best_estimate(_pipeline(name), name, points, viewpoint)


def _one(key: str) -> dict[str, Any]:
    kind, source, index = key.split("|")
    if kind in ("roll", "arc"):
        return _rerendered_row(kind, source)
    if kind == "permutation":
        return _permutation_row(*source.split(":"), int(index))
    name, points, viewpoint = _crop(kind, source)
    pipeline, T = _pipeline(name), motion(int(index))
    found = best_estimate(pipeline, name, se3.apply(T, points), se3.apply(T, viewpoint[None])[0])
    row = compare(found, _base(kind, source), T, pipeline.cards[name])
    row.update(network_difference(pipeline.networks[name], points, viewpoint, T))
    return row


def _permutation_row(kind: str, source: str, index: int) -> dict[str, Any]:
    name, points, viewpoint = _crop(kind, source)
    order = np.random.default_rng([index, 12]).permutation(len(points))
    found, base = best_estimate(_pipeline(name), name, points[order], viewpoint), _base(kind, source)
    if found is None or base is None:
        return {"differs": (found is None) != (base is None)}
    same = all(
        np.asarray(getattr(found, field)).tobytes() == np.asarray(getattr(base, field)).tobytes()
        for field in ("T_camera_object", "score", "covariance")
    )
    return {"differs": not same}


def _rerendered_row(way: str, source: str) -> dict[str, Any]:
    """The estimates of one scene from two camera poses, compared."""
    from pose_node.learning.scene import arced, rolled

    name, seed = source.split("/")
    sampler, pipeline = _sampler(name), _pipeline(name)
    rng = np.random.default_rng([int(seed), 13])
    scene = sampler.scene(int(seed))
    if way == "roll":
        T = rolled(rng.uniform(-np.pi, np.pi))
    else:
        T = arced(scene.target_m, np.radians(ARC_DEG), rng.uniform(-np.pi, np.pi))
    first, second = sampler.observe(scene), sampler.observe(scene, T)
    found = []
    for view in (first, second):
        cloud, mask = rendered.measured(view)
        estimates = pipeline.estimate(cloud, masks={name: [mask]}).estimates
        found.append(estimates[0] if estimates else None)
    return compare(found[1], found[0], T, pipeline.cards[name])


if __name__ == "__main__":
    main()
