"""Real frames with labels: recall of our pipeline and of the peers, with the true mask and without a mask.

    python -m benchmarks.peers                 once: the peers' raw poses (minutes), stored in results/peers_poses.json
    python -m benchmarks.real                  -> results/real.json, real.md (by object), real_failures.png
    python -m benchmarks.real --ours-only      the peers' refined figures are taken from results/real_peers.json
    python -m benchmarks.real --set ycb_realsense     another set, unranked -> results/real_ycb_realsense.json

Every label is one trial. Ours is the best estimate of that object in ``Result.estimates``; none is a miss. Errors are those of
``pose_node.evaluation.metrics`` with the DATA SET's model, diameter and symmetries, never our card's:

- mssd_depth: recall of MSSD <= 10 % of the diameter, up to ``symmetries_depth`` (what depth cannot tell).
- in_alternatives: the same for the best of the estimate and its alternatives.
- mssd, add_s, adds: MSSD up to the declared symmetries; ADD(-S), which is ADD-S where a symmetry is declared; ADD-S; all at 10 %.
- translation_mm, rotation_deg: medians over the labels with an estimate, of the object's centre and up to ``symmetries_depth``.

Figures that end in ``_original`` use the labels as published (``scene_gt_original.json``); the others use labels that were
refined on the same depth.

Peers (settings: ``benchmarks.peers.raw_poses``) get the true mask. Each raw pose goes through our coarse and fine refinement.
``first``: the pose that the peer ranks first (mean over seeds for RANSAC). ``best_fit``: of all refined poses (ten of PPF, three
seeds of RANSAC) the one with the largest share of the crop's points on its surface. A peer's figure is that of its better
variant, by recall over all labels.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import data, results
from benchmarks.peers import OBJECTS
from benchmarks.peers.raw_poses import FLAT_SIDED, load_poses
from pose_node.arrays import Array
from pose_node.evaluation import metrics
from pose_node.geometry import symmetry
from pose_node.measurement.cloud import Cloud
from pose_node.types import Hypothesis, Result, Segment

THRESHOLD = 0.1
RECALLS = ("mssd_depth", "in_alternatives", "mssd", "add_s", "adds")
MEDIANS = ("translation_mm", "rotation_deg")
PEERS = {"ppf": ("ppf5", "ppf7"), "ransac": ("ransac",)}


@dataclass(frozen=True)
class Errors:
    """Errors of one pose against one label. Lengths in diameters, except ``translation_mm``; infinite without a pose."""

    mssd_depth: float = float("inf")
    in_alternatives: float = float("inf")
    mssd: float = float("inf")
    add_s: float = float("inf")
    adds: float = float("inf")
    translation_mm: float = float("inf")
    rotation_deg: float = float("inf")


@dataclass(frozen=True, eq=False)
class Trial:
    """One label: its key, its true poses, and the result. ``poses``: the estimate, then its alternatives."""

    frame: data.Frame
    label: data.Label
    model: data.Model
    poses: tuple[Array, ...]
    score: float
    reason: str
    ms: float

    @property
    def key(self) -> str:
        return f"{self.frame.key}/{self.label.name}"

    def errors(self, T_label: Array) -> Errors:
        return errors(self.model, self.poses, T_label)


def errors(model: data.Model, poses: Sequence[Array], T_label: Array) -> Errors:
    """All errors of ``poses[0]``, and of the best of all of them in ``in_alternatives``; infinite when there is none."""
    if not poses:
        return Errors()
    T, d = poses[0], model.diameter_m
    each = [metrics.mssd(model.hull_m, pose, T_label, model.symmetries_depth) / d for pose in poses]
    adds = metrics.adds(model.vertices_m, T, T_label) / d
    turn = symmetry.rotation_error(T, T_label, model.symmetry_depth)
    shift = symmetry.translation_error(T, T_label, model.symmetry_depth, model.centre_m)
    return Errors(
        each[0],
        min(each),
        metrics.mssd(model.hull_m, T, T_label, model.symmetries) / d,
        adds if model.declared_symmetric else metrics.add(model.vertices_m, T, T_label) / d,
        adds,
        float(shift) * 1000.0,
        float(np.degrees(turn)),
    )


def run_masked(pipeline: Any, frames: Sequence[data.Frame], objects: Sequence[str]) -> list[Trial]:
    """One call of the pipeline for each label, with its true mask."""
    trials = []
    for frame in tqdm(frames, desc="with masks", unit="frame"):
        cloud = Cloud.from_depth(frame.depth_m, frame.K)
        for label in frame.labels:
            if label.name in objects:
                start = time.perf_counter()
                result = pipeline.estimate(cloud, masks={label.name: [label.mask]})
                trials.append(_trial(frame, label, result, (time.perf_counter() - start) * 1000.0))
    return trials


def run_unmasked(
    pipeline: Any, frames: Sequence[data.Frame], objects: Sequence[str]
) -> tuple[list[Trial], list[tuple[str, float]]]:
    """One call of the pipeline for each frame; also (key, score) of estimates of objects that are not in the frame."""
    trials, false_alarms = [], []
    for frame in tqdm(frames, desc="no mask", unit="frame"):
        cloud = Cloud.from_depth(frame.depth_m, frame.K)
        start = time.perf_counter()
        result = pipeline.estimate(cloud)
        ms = (time.perf_counter() - start) * 1000.0
        present = {label.name for label in frame.labels}
        strangers = [e for e in result.estimates if e.object_name not in present]
        false_alarms += [(f"{frame.key}/{e.object_name}", e.score) for e in strangers]
        trials += [_trial(frame, label, result, ms) for label in frame.labels if label.name in objects]
    return trials, false_alarms


def figures_of(trials: Sequence[Trial], prefix: str) -> dict[str, float]:
    """Recalls and medians, pooled and (``mssd_depth``) by object, against both kinds of label."""
    out: dict[str, float] = {f"{prefix}_labels": len(trials)}
    for suffix, truth in _truths(trials).items():
        found = {trial.key: trial.errors(T) for trial, T in truth}
        out.update(summarise(list(found.values()), prefix, suffix))
        if suffix:
            continue
        for name in sorted({trial.label.name for trial in trials}):
            mine = [found[trial.key] for trial in trials if trial.label.name == name]
            out[f"{prefix}_mssd_depth_{name}"] = recall(mine, "mssd_depth")
            out[f"{prefix}_in_alternatives_{name}"] = recall(mine, "in_alternatives")
    out[f"{prefix}_answered"] = results.share([bool(t.poses) for t in trials])
    out[f"{prefix}_ms_median"] = results.percentile([t.ms for t in trials], 50)
    return out


def summarise(found: Sequence[Errors], prefix: str, suffix: str = "") -> dict[str, float]:
    """Recalls over all, medians over the answered."""
    out = {f"{prefix}_{name}{suffix}": recall(found, name) for name in RECALLS}
    answered = [e for e in found if np.isfinite(e.mssd)]
    out.update(
        {f"{prefix}_{name}{suffix}": results.percentile([getattr(e, name) for e in answered], 50) for name in MEDIANS}
    )
    return out


def recall(found: Sequence[Errors], name: str) -> float:
    """The share within ``THRESHOLD`` diameters."""
    return results.share([getattr(e, name) <= THRESHOLD for e in found])


def peer_errors(
    frames: Sequence[data.Frame], objects: Sequence[str], cards: Mapping[str, Any], refiners: Mapping[str, Any]
) -> dict[str, Any]:
    """method -> variant -> crop key -> [Errors as mappings, one a seed], after our refinement; crops not yet run are left out."""
    from pose_node.measurement.scene import Scene

    raw = load_poses()
    out: dict[str, Any] = {}
    for frame in tqdm(frames, desc="peers", unit="frame"):
        cloud = Cloud.from_depth(frame.depth_m, frame.K)
        for label in frame.labels:
            if label.name not in objects:
                continue
            key = f"{frame.key}/{label.name}"
            model = data.model(frame.set_name, label.object_id)
            indices = np.flatnonzero(label.mask.ravel()[cloud.source_index])
            segment = Segment(indices, "mask", label.name)
            scene = Scene(cloud, {label.name: cards[label.name]})
            for method, crops in raw.items():
                if method == "ppf5" and label.name in FLAT_SIDED:
                    crops = raw.get("ppf7", {})
                if key not in crops:
                    continue
                poses = [np.reshape(p, (4, 4)) for p in crops[key]["poses"] if p is not None]
                refined = refine(poses, label.name, segment, scene, refiners[label.name])
                seeds = len(crops[key]["poses"]) if method == "ransac" else 1
                first = [[T] for T, _ in refined[:seeds]] + [[]] * (seeds - len(refined[:seeds]))
                best = max(refined, key=lambda r: r[1])[0] if refined else None
                variants = {"first": first or [[]], "best_fit": [[best] if best is not None else []]}
                for variant, tries in variants.items():
                    for suffix, T in _label_poses(label).items():
                        entry = [plain(errors(model, one, T)) for one in tries]
                        out.setdefault(f"{method}_{variant}", {}).setdefault(suffix, {})[key] = entry
    return out


def refine(poses: Sequence[Array], name: str, segment: Segment, scene: Any, refiner: Any) -> list[tuple[Array, float]]:
    """(pose, share of the crop's points on it) after our coarse and fine refinement, in the order given."""
    if not len(poses):
        return []
    rough = refiner.coarse(np.stack(poses), scene.view(segment))
    fine = [refiner.fine(Hypothesis(name, T, segment, "expected"), scene) for T in rough]
    return [(r.T_camera_object, r.inlier_fraction) for r in fine]


def peer_figures(found: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, float]:
    """Figures of each peer's better variant, and the comparison with ours."""
    out: dict[str, float] = {}
    keys = [t.key for t in trials]
    ours = {t.key: t.errors(t.label.T_camera_object) for t in trials}
    counts: dict[str, list[str]] = {}
    for key in keys:
        counts.setdefault(key.rsplit("/", 1)[1], []).append(key)
    above, below = [], set()
    for peer, methods in PEERS.items():
        variants = {v: f for v, f in found.items() if v.rsplit("_", 2)[0] in methods or v.split("_")[0] in methods}
        variants = {v: f for v, f in variants.items() if all(k in f[""] for k in keys)}
        if not variants:
            continue
        scored = {v: _mean_recall(f[""], keys, "mssd_depth") for v, f in variants.items()}
        for v, value in scored.items():
            out[f"{v}_mssd_depth"] = value
        chosen = variants[max(scored, key=lambda v: scored[v])]
        for suffix, entries in chosen.items():
            mine = [k for k in keys if k in entries]
            for name in RECALLS:
                if name != "in_alternatives":
                    out[f"{peer}_{name}{suffix}"] = _mean_recall(entries, mine, name)
            for name in MEDIANS:
                values = [e[name] for k in mine for e in entries[k] if e[name] is not None]
                out[f"{peer}_{name}{suffix}"] = results.percentile(values, 50)
        above.append(recall(list(ours.values()), "mssd_depth") > out[f"{peer}_mssd_depth"])
        for name, group in counts.items():
            theirs = _mean_recall(chosen[""], group, "mssd_depth")
            out[f"{peer}_mssd_depth_{name}"] = theirs
            gap = (theirs - recall([ours[k] for k in group], "mssd_depth")) * len(group)
            if len(group) >= 3 and gap > 1.0 + 1e-9:
                below.add(name)
    out["peers_compared"] = len(above)
    out["peers_beaten"] = int(sum(above))
    out["objects_more_than_one_label_below_a_peer"] = len(below)
    return out


def failures(trials: Sequence[Trial], path: Path, pixels: int = 320) -> int:
    """A sheet of all labels that are missed: the label's pose (left) and ours (right) drawn over the depth. Returns how many."""
    from PIL import Image, ImageDraw

    from pose_node import drawing

    tiles = []
    for trial in trials:
        found = trial.errors(trial.label.T_camera_object)
        if found.mssd_depth <= THRESHOLD:
            continue
        rows, columns = np.nonzero(trial.label.mask)
        centre, half = (columns.mean(), rows.mean()), 0.75 * max(np.ptp(rows), np.ptp(columns)) + 10
        box = tuple(int(round(v)) for v in (centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half))
        points, normals = surface_of(trial.model)
        views = []
        for text, T in (("label", trial.label.T_camera_object), ("ours", trial.poses[0] if trial.poses else None)):
            instances = [] if T is None else [drawing.Instance(text, T, points, normals)]
            image = drawing.draw(trial.frame.depth_m, trial.frame.K, instances).crop(box).resize((pixels, pixels))
            views.append(image)
        tile = drawing.side_by_side(views)
        sheet = Image.new("RGB", (tile.width, tile.height + 34))
        sheet.paste(tile, (0, 34))
        text = f"{trial.key}: " + (
            f"MSSD {found.mssd_depth:.2f} d, turn {found.rotation_deg:.0f} deg, score {trial.score:.2f}"
            + (", an alternative is right" if found.in_alternatives <= THRESHOLD else "")
            if trial.poses
            else f"no estimate. {trial.reason}"
        )
        pen = ImageDraw.Draw(sheet)
        pen.text((4, 2), text[:100], fill=(255, 255, 255))
        pen.text((4, 17), text[100:200], fill=(255, 255, 255))
        tiles.append(sheet)
    if not tiles:
        path.unlink(missing_ok=True)
        return 0
    across = min(3, len(tiles))
    width, height = tiles[0].size
    page = Image.new("RGB", (across * (width + 6), -(-len(tiles) // across) * (height + 6)), (40, 40, 40))
    for i, tile in enumerate(tiles):
        page.paste(tile, (i % across * (width + 6), i // across * (height + 6)))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)
    return len(tiles)


def main(arguments: Sequence[str] | None = None) -> None:
    import pose_node
    from pose_node.pose.refine import Refiner

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=data.ROOT / "models")
    parser.add_argument("--config", type=Path, default=None)
    parser.add_argument("--set", default="ycbv")
    parser.add_argument("--objects", nargs="+", default=list(OBJECTS))
    parser.add_argument("--ours-only", action="store_true", help="take the peers' figures from the last full run")
    parser.add_argument(
        "--masked-only", action="store_true", help="leave out the frames with no mask; writes no real.json"
    )
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    name = "real" if options.set == "ycbv" else f"real_{options.set}"

    pipeline = pose_node.Pipeline.load([options.models / o for o in options.objects], config=options.config)
    frames = [
        f for f in data.frames(options.set) if options.set == "ycbv" or any(x.name in options.objects for x in f.labels)
    ]
    trials = run_masked(pipeline, frames, options.objects)
    figures = figures_of(trials, "masked")
    rows = [_row(t, "mask") for t in trials]

    kept = results.FOLDER / f"{name}_peers.json"
    if options.ours_only and kept.exists():
        peers = json.loads(kept.read_text())
    elif options.ours_only:
        peers = {}
    else:
        refiners = {n: Refiner(c, pipeline.config.refine) for n, c in pipeline.cards.items()}
        peers = peer_errors(frames, options.objects, pipeline.cards, refiners)
        results.write_text(kept, json.dumps(peers, separators=(",", ":")).replace('"ycb', '\n"ycb') + "\n")
    figures.update(peer_figures(peers, trials))

    if not options.masked_only:
        unmasked, false_alarms = run_unmasked(pipeline, frames, options.objects)
        figures.update(figures_of(unmasked, "unmasked"))
        figures["unmasked_false_alarms"] = len(false_alarms)
        figures["unmasked_frames"] = len(frames)
        rows += [_row(t, "none") for t in unmasked]
        nothing = float("nan")
        rows += [
            (k, "none", *[nothing] * 4, score, "-", "-", "FALSE ALARM: not in the frame") for k, score in false_alarms
        ]
        results.write_table(options.output / f"{name}_labels.md", f"{name}: every label", _HEADER, rows)
        results.write_table(
            options.output / f"{name}.md",
            f"{name}: recall of MSSD-depth at 10 %",
            *_by_object(figures, options.objects),
        )
        failures([*trials, *unmasked], options.output / f"{name}_failures.png")
        complete = set(options.objects) == set(OBJECTS)
        command = f"python -m benchmarks.real --set {options.set}" + (
            "" if complete else f" --objects {' '.join(options.objects)}"
        )
        results.write_result(name, command, figures, options.output)
    else:
        failures(trials, options.output / f"{name}_failures.png")
        for row in rows:
            print(" ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row))
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")


_HEADER = (
    "label",
    "asked with",
    "MSSD-depth",
    "best alternative",
    "turn deg",
    "shift mm",
    "score",
    "modes",
    "ms",
    "why not",
)


def _row(trial: Trial, asked: str) -> tuple[Any, ...]:
    found = trial.errors(trial.label.T_camera_object)
    return (
        trial.key,
        asked,
        found.mssd_depth,
        found.in_alternatives,
        found.rotation_deg,
        found.translation_mm,
        trial.score,
        len(trial.poses),
        round(trial.ms),
        trial.reason,
    )


def _by_object(figures: Mapping[str, float], objects: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    columns: dict[str, Callable[[str], str]] = {
        "masked": lambda n: f"masked_mssd_depth{n}",
        "masked, any alternative": lambda n: f"masked_in_alternatives{n}",
        "no mask": lambda n: f"unmasked_mssd_depth{n}",
        "PPF": lambda n: f"ppf_mssd_depth{n}",
        "FPFH+RANSAC": lambda n: f"ransac_mssd_depth{n}",
    }
    rows = [(o, *(figures.get(c(f"_{o}"), float("nan")) for c in columns.values())) for o in objects]
    rows.append(("all", *(figures.get(c(""), float("nan")) for c in columns.values())))
    return ("object", *columns), rows


def _trial(frame: data.Frame, label: data.Label, result: Result, ms: float) -> Trial:
    model = data.model(frame.set_name, label.object_id)
    mine = [e for e in result.estimates if e.object_name == label.name]
    refused = [r for r in result.rejected if r.object_name in (label.name, None)]
    if not mine:
        reason = max(refused, key=lambda r: r.score or 0.0).reason if refused else "no reason given"
        return Trial(frame, label, model, (), float("nan"), reason, ms)
    best = max(mine, key=lambda e: e.score)
    poses = (best.T_camera_object, *(T for T, _ in best.alternatives))
    return Trial(frame, label, model, poses, best.score, "", ms)


def _label_poses(label: data.Label) -> dict[str, Array]:
    both = {"": label.T_camera_object, "_original": label.T_original}
    return {suffix: T for suffix, T in both.items() if T is not None}


def _truths(trials: Sequence[Trial]) -> dict[str, list[tuple[Trial, Array]]]:
    out: dict[str, list[tuple[Trial, Array]]] = {}
    for trial in trials:
        for suffix, T in _label_poses(trial.label).items():
            out.setdefault(suffix, []).append((trial, T))
    return out


def plain(found: Errors) -> dict[str, float | None]:
    """As JSON value: null for infinite."""
    return {k: v if np.isfinite(v) else None for k, v in asdict(found).items()}


def _mean_recall(entries: Mapping[str, Any], keys: Sequence[str], name: str) -> float:
    each = [np.mean([e[name] is not None and e[name] <= THRESHOLD for e in entries[k]]) for k in keys]
    return float(np.mean(each)) if each else float("nan")


def surface_of(model: data.Model) -> tuple[Array, Array]:
    """Samples of the model's surface and the outward normals of their faces: [S, 3] each."""
    import trimesh

    mesh = trimesh.Trimesh(model.vertices_m, model.faces, process=False)
    points, face = trimesh.sample.sample_surface(mesh, 6000, seed=0)
    return np.asarray(points), np.asarray(mesh.face_normals[face]) * (1.0 if mesh.volume >= 0 else -1.0)


if __name__ == "__main__":
    main()
