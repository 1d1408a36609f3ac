"""Ours and the peers on frames without masks: the same clusters for all, on ycbv.

    python -m benchmarks.clusters                  -> results/clusters_ycbv.json (an hour: PPF is slow)
    python -m benchmarks.clusters --labels 1       the first labels of each object, printed and not written
    python -m benchmarks.table                     afterwards: docs/results.md

The frame's clusters of the object's size (``pose_node.detection.segmentation``, table removed), at most ``MOST_CLUSTERS``, are given
to all methods as masks. The answer of a method is its pose with the best score by our pipeline; ours may be refused, those of the
peers are not.

Recall is that of MSSD-depth at 10 % of the diameter (``benchmarks.real``). ``ours_minus_<peer>``: paired bootstrap over placements
(``crops.py``). A stopped run resumes, but a median of times comes from one run only, the one with most labels (``timed_labels``).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results, rows
from benchmarks.crops import Crop, crops
from benchmarks.methods import ERRORS, VARIANTS, ask, error_row, hit, median_ms, worker
from benchmarks.peers import PEERS
from benchmarks.peers_settings import chosen
from benchmarks.set_figures import with_better_variant
from benchmarks.sets import folders_of
from benchmarks.speed import THREADS
from pose_node.arrays import Array
from pose_node.detection.segmentation import segments
from pose_node.evaluation.figures.paired_differences import mean_difference
from pose_node.measurement.scene import Scene
from pose_node.objects.card import ObjectCard, load_card
from pose_node.pipeline import Pipeline

SET = "ycbv"
MOST_CLUSTERS = 4
METHODS = ("ours", *PEERS)
_RUN = time.time_ns()


class Turns:
    """All methods on the frames of the crops of one object, one after the other."""

    def __init__(self, group: Sequence[Crop], cards: Mapping[str, ObjectCard], settings: Mapping[str, str]):
        self.crops = {crop.key: crop for crop in group}
        self.cards, self.card = cards, cards[group[0].name]
        self.pipeline = Pipeline.load([self.card.folder])
        self.peers = {peer: worker(peer, settings[peer], group[0]) for peer in PEERS}
        crop = group[0]
        self.pipeline.estimate(crop.cloud, masks={crop.name: [crop.mask]})  # first calls load libraries and fill caches

    def row(self, key: str) -> rows.Row:
        """The row of a label whose frame is given in clusters."""
        crop = self.crops[key]
        masks = clusters(crop, self.cards, self.pipeline.config.segment)
        row: rows.Row = {"object": crop.name, "placement": crop.placement, "run": _RUN, "clusters": len(masks)}
        row["ours"] = self._ours(crop, masks)
        for name, peer in self.peers.items():
            row[name] = self._peer(peer, crop, masks)
        return row

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()

    def _ours(self, crop: Crop, masks: Sequence[Any]) -> rows.Row:
        if not len(masks):
            return {"outcome": "no_cluster", **error_row(crop, None, float("nan"))}
        start = time.process_time()
        result = self.pipeline.estimate(crop.cloud, masks={crop.name: list(masks)})
        ms = 1000.0 * (time.process_time() - start)
        best = max(result.estimates, key=lambda e: e.score, default=None)
        if best is not None:
            return {"outcome": "answered", **error_row(crop, best.T_camera_object, ms)}
        why = max(result.rejected, key=lambda r: r.score or 0.0, default=None)
        return {"outcome": "refused", "why": why.code if why else "silent", **error_row(crop, None, ms)}

    def _peer(self, peer: Any, crop: Crop, masks: Sequence[Any]) -> rows.Row:
        """The pose with our best score, of the first ones of all clusters and of all poses of all clusters."""
        found, _ = segments(crop.cloud, {crop.name: list(masks)}, {crop.name: self.card}, self.pipeline.config.segment)
        if not masks or not found:
            return {"outcome": "no_cluster", **{v: error_row(crop, None, float("nan")) for v in VARIANTS}}
        scene = Scene(crop.cloud, {crop.name: self.card})
        likelihood = self.pipeline.likelihoods[crop.name]
        best: dict[str, tuple[float, Array | None]] = dict.fromkeys(VARIANTS, (-np.inf, None))
        total = dict.fromkeys(VARIANTS, 0.0)
        outcomes = []
        for segment in found:
            answer = peer.poses(crop.cloud.points_m[segment.indices], crop.cloud.viewpoint_m)
            refined, ms = ask(answer, segment, scene, self.pipeline.refiners[crop.name])
            outcomes.append(answer.outcome)
            for variant, poses, spent in zip(VARIANTS, (refined[:1], refined), ms):
                start = time.process_time()
                if poses:
                    T, view = np.stack([T for T, _ in poses]), scene.view(segment)
                    score = likelihood.score(T, view, samples=2048, points=len(view.points_m), exact=True).score
                    top = int(np.argmax(score))
                    if score[top] > best[variant][0]:
                        best[variant] = (float(score[top]), T[top])
                total[variant] += spent + 1000.0 * (time.process_time() - start)
        worst = next((o for o in ("untrained", "timed_out", "failed") if o in outcomes), "answered")
        return {"outcome": worst, **{v: error_row(crop, best[v][1], total[v]) for v in VARIANTS}}


def clusters(crop: Crop, cards: Mapping[str, ObjectCard], config: Any) -> list[Any]:
    """Masks of the likeliest clusters of a crop's frame that have its object's size; the same for all objects of the set."""
    found = [s for s in segments(crop.cloud, None, cards, config)[0] if crop.name in (s.objects or (s.object_name,))]
    masks = []
    for segment in found[:MOST_CLUSTERS]:
        mask = np.zeros(int(np.prod(crop.cloud.shape)), dtype=bool)
        mask[crop.cloud.source_index[segment.indices]] = True
        masks.append(mask.reshape(crop.cloud.shape))
    return masks


def measure(settings: Mapping[str, str], most: int | None) -> list[rows.Row]:
    """A row a label."""
    here = Path(__file__).parent
    code = [here / f"{name}.py" for name in ("methods", "crops", "clusters")]
    code += [here / "peers" / f"{name}.py" for name in ("clouds", "worker", *PEERS)]
    folders = folders_of(SET)
    cards = {card.name: card for card in map(load_card, folders.values())}
    mark = rows.fingerprint(list(folders.values()), None, sorted(settings.items()), code=code)
    out: list[rows.Row] = []
    for object_id in folders:
        group = list(crops(SET, object_id))[:most]
        turns = Turns(group, cards, settings)
        try:
            name = f"clusters/{SET}-{group[0].name}-{mark}"
            found = rows.measure(name, list(turns.crops), turns.row, lambda: None, (), jobs=1)
        finally:
            turns.close()
        out += [{"key": key, **row} for key, row in zip(turns.crops, found)]
    return out


def timed_in_one_run(found: Sequence[rows.Row]) -> list[rows.Row]:
    """Rows without the times of other runs than the one that measured most of them."""
    run, _ = Counter(row["run"] for row in found).most_common(1)[0]
    return [
        row if row["run"] == run else {**row, **{method: {**row[method], "ms": None} for method in METHODS}}
        for row in found
    ]


def figures_of(found: Sequence[rows.Row]) -> dict[str, float]:
    """Figures of each method, and of ours against each peer."""
    places = [row["placement"] for row in found]
    timed = sum(row["ours"]["ms"] is not None for row in found)
    out: dict[str, float] = {"labels": len(found), "placements": len(set(places)), "timed_labels": timed}
    for method in METHODS:
        mine = [row[method] for row in found]
        for error in ERRORS[:3]:
            out[f"{method}_{error}"] = results.share([hit(m, error) for m in mine])
        out[f"{method}_ms_p50"] = median_ms(mine)
        for outcome in ("timed_out", "untrained", "failed"):
            out[f"{method}_{outcome}"] = sum(m["outcome"] == outcome for m in mine)
    ours = [hit(row["ours"]) for row in found]
    for peer in PEERS:
        difference = mean_difference([hit(row[peer]) for row in found], ours, places)
        out[f"ours_minus_{peer}"] = difference.b - difference.a
        out[f"ours_minus_{peer}_low"], out[f"ours_minus_{peer}_high"] = difference.low, difference.high
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=None, metavar="N", help="the first N labels of each object")
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    if any(os.environ.get(k) != v for k, v in THREADS.items()):  # libraries read these when they load
        rest = sys.argv[1:] if arguments is None else list(arguments)
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.clusters", *rest], {**os.environ, **THREADS})
    found, variants = with_better_variant(measure(chosen(), options.labels), list(PEERS))
    found = timed_in_one_run(found)
    figures = figures_of(found)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if options.labels is None:
        more: dict[str, Any] = {"settings": chosen(), "variants": variants, "labels": found}
        results.write_result(f"clusters_{SET}", "python -m benchmarks.clusters", figures, options.output, more)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
