"""Every set, every label, every method: ours and the peers on the same crops, in turn.

    python -m benchmarks.sets                        -> results/set_<set>.json, one a set (hours: PPF is slow)
    python -m benchmarks.sets --sets icbin           these sets only
    python -m benchmarks.sets --labels 1             the first labels of each object, printed and not written
    python -m benchmarks.table                       afterwards: docs/results.md

- Labels: those whose object has a network, in one of ``--models`` or in ``$POSE_NODE_NETWORKS/<set>`` (``set_objects.py``). The
  labels of the others are counted in ``left_out_<object>``.
- Ours: ``Pipeline.estimate`` with the frame's cloud and the true mask.
- A peer (setting: peers_settings.json) gets the points that our pipeline takes from that mask. Its poses go through our coarse and
  fine refinement. "first": its first pose. "best_fit": the pose with most points on it. The better of the two on a set counts.
- Time: processor time on one thread, without training and loading. Methods take turns crop by crop.
- A call ends after 30 s, a training after 120 s; such labels are misses and are counted by outcome.

``clusters_*`` (ycbv): no masks. The frame's clusters of the object's size (``pose_node.detection.segmentation``, table removed), at
most ``MOST_CLUSTERS``, are given to all methods as masks. The answer of a method is its pose with the best score by our pipeline.

Recall is that of MSSD-depth at 10 % of the diameter (``benchmarks.real``); ``mssd``, ``add_s`` likewise; medians are of the
answered. ``ours_minus_<peer>``: paired bootstrap over placements (``crops.py``), null with fewer than three. A stopped run resumes,
but a median of times comes from one run only, the one with most labels (``timed_labels``).
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

from benchmarks import data, results, rows
from benchmarks.crops import Crop, crops
from benchmarks.methods import (
    ERRORS,
    VARIANTS,
    ask,
    better_variant,
    error_row,
    hit,
    median_ms,
    peer_row,
    segment_of,
    worker,
)
from benchmarks.peers import PEERS
from benchmarks.peers_settings import chosen
from benchmarks.set_objects import SETS, card_name, label_counts, networks_folder
from benchmarks.speed import THREADS
from pose_node.arrays import Array
from pose_node.detection.segmentation import segments
from pose_node.evaluation.figures.paired_differences import mean_difference
from pose_node.measurement.scene import Scene
from pose_node.objects.card import ObjectCard, load_card
from pose_node.pipeline import Pipeline

METHODS = ("ours", *PEERS)
WITHOUT_MASKS = ("ycbv",)
MOST_CLUSTERS = 4
ALIKE = (
    0.1  # a card and a model whose diameters differ by more than this share are not the same object, as in ``evaluate``
)
_RUN = time.time_ns()


def matched(set_name: str, models: Sequence[Path]) -> tuple[dict[int, ObjectCard], dict[str, int], dict[str, int]]:
    """{object id: card with a network}; labels of objects without one; labels of those whose card is another object's, by its
    diameter."""
    cards: dict[int, ObjectCard] = {}
    without, other = {}, {}
    for object_id, count in label_counts(set_name).items():
        name = card_name(set_name, object_id)
        found = [
            home / name for home in (*models, networks_folder() / set_name) if (home / name / "bank.npz").is_file()
        ]
        if not found:
            without[name] = count
            continue
        card = load_card(found[0])
        if abs(card.diameter_m / data.model(set_name, object_id).diameter_m - 1.0) > ALIKE:
            other[name] = count
        else:
            cards[object_id] = card
    return cards, without, other


class Turns:
    """All methods on the crops of one object, one crop after the other."""

    def __init__(
        self, group: Sequence[Crop], card: ObjectCard, cards: Mapping[str, ObjectCard], settings: Mapping[str, str]
    ):
        self.crops = {crop.key: crop for crop in group}
        self.card, self.cards = card, cards
        self.pipeline = Pipeline.load([card.folder])
        self.refiner = self.pipeline.refiners[card.name]
        self.peers = {peer: worker(peer, settings[peer], group[0]) for peer in PEERS}
        self._warm = False

    def masked(self, key: str) -> rows.Row:
        """The row of a crop with its true mask."""
        crop = self._crop(key)
        segment = segment_of(crop, self.card, self.pipeline.config.segment)
        row = self._row(crop, self._ours(crop, [crop.mask]))
        for name, peer in self.peers.items():
            row[name] = peer_row(peer, crop, segment, self.card, self.refiner)
        return row

    def clusters(self, key: str) -> rows.Row:
        """The row of a crop whose frame is given in clusters."""
        crop = self._crop(key)
        masks = clusters(crop, self.cards, self.pipeline.config.segment)
        row = {**self._row(crop, self._ours(crop, masks)), "clusters": len(masks)}
        for name, peer in self.peers.items():
            row[name] = self._peer_on_clusters(peer, crop, masks)
        return row

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()

    def _crop(self, key: str) -> Crop:
        crop = self.crops[key]
        if not self._warm:
            self._ours(crop, [crop.mask])  # first calls load libraries and fill caches
            self._warm = True
        return crop

    def _row(self, crop: Crop, ours: rows.Row) -> rows.Row:
        return {"object": crop.name, "placement": crop.placement, "run": _RUN, "ours": ours}

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

    def _peer_on_clusters(self, peer: Any, crop: Crop, masks: Sequence[Any]) -> rows.Row:
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
            answer, refined, ms = ask(peer, segment, scene, self.refiner)
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


def measure(
    set_name: str, cards: Mapping[int, ObjectCard], settings: Mapping[str, str], most: int | None, kinds: Sequence[str]
) -> dict[str, list[rows.Row]]:
    """kind ("masked", "clusters") -> a row a label."""
    here = Path(__file__).parent
    code = [here / f"{name}.py" for name in ("methods", "crops", "sets")]
    code += [here / "peers" / f"{name}.py" for name in ("clouds", "worker", "ppf", "ransac", "fgr", "kiss")]
    by_name = {card.name: card for card in cards.values()}
    out: dict[str, list[rows.Row]] = {kind: [] for kind in kinds}
    for object_id, card in cards.items():
        group = list(crops(set_name, object_id))[:most]
        if not group:
            continue  # the set has a model but no label of it
        turns = Turns(group, card, by_name, settings)
        try:
            for kind in kinds:
                others = [c.folder for c in cards.values()] if kind == "clusters" else []
                mark = rows.fingerprint([card.folder, *others], None, sorted(settings.items()), code=code)
                name = f"sets/{set_name}-{card.name}-{kind}-{mark}"
                work = getattr(turns, kind)
                found = rows.measure(name, list(turns.crops), work, lambda: None, (), jobs=1)
                out[kind] += [{"key": key, **row} for key, row in zip(turns.crops, found)]
        finally:
            turns.close()
    return out


def with_better_variant(found: Sequence[rows.Row]) -> tuple[list[rows.Row], dict[str, str]]:
    """Rows in which each peer has one answer, and the variant that was chosen."""
    variants = {peer: better_variant([row[peer] for row in found]) for peer in PEERS}
    out = []
    for row in found:
        one = {k: v for k, v in row.items() if k not in PEERS}
        for peer, variant in variants.items():
            rest = {k: v for k, v in row[peer].items() if k not in VARIANTS}
            one[peer] = {**rest, **row[peer][variant]}
        out.append(one)
    return out, variants


def timed_in_one_run(found: Sequence[rows.Row]) -> list[rows.Row]:
    """Rows without the times of other runs than the one that measured most of them."""
    run, _ = Counter(row["run"] for row in found).most_common(1)[0]
    return [
        row if row["run"] == run else {**row, **{method: {**row[method], "ms": None} for method in METHODS}}
        for row in found
    ]


def figures_of(found: Sequence[rows.Row], prefix: str = "") -> dict[str, float]:
    """Figures of one set: each method's, and ours against each peer's. ``found``: of ``with_better_variant``."""
    places = [row["placement"] for row in found]
    timed = sum(row["ours"]["ms"] is not None for row in found)
    out: dict[str, float] = {"labels": len(found), "placements": len(set(places)), "timed_labels": timed}
    names = list(dict.fromkeys(row["object"] for row in found))
    for name in names:
        out[f"labels_{name}"] = sum(row["object"] == name for row in found)
    for method in METHODS:
        mine = [row[method] for row in found]
        for error in ERRORS[:3]:
            out[f"{method}_{error}"] = results.share([hit(m, error) for m in mine])
        for error in ERRORS[3:]:
            out[f"{method}_{error}"] = results.percentile([m[error] for m in mine if m[error] is not None], 50)
        out[f"{method}_answered"] = results.share([m["mssd"] is not None for m in mine])
        out[f"{method}_ms_p50"] = median_ms(mine)
        for outcome in ("timed_out", "untrained", "failed"):
            out[f"{method}_{outcome}"] = sum(m["outcome"] == outcome for m in mine)
        for name in names:
            out[f"{method}_mssd_depth_{name}"] = results.share([hit(r[method]) for r in found if r["object"] == name])
    ours = [hit(row["ours"]) for row in found]
    for peer in PEERS:
        difference = mean_difference([hit(row[peer]) for row in found], ours, places)
        out[f"ours_minus_{peer}"] = difference.b - difference.a
        out[f"ours_minus_{peer}_low"], out[f"ours_minus_{peer}_high"] = difference.low, difference.high
    return {f"{prefix}{key}": value for key, value in out.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", type=Path, default=[data.ROOT / "models"], metavar="DIR")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument(
        "--labels", type=int, default=None, metavar="N", help="the first N labels of each object, for a partial run"
    )
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    if any(os.environ.get(k) != v for k, v in THREADS.items()):  # libraries read these when they load
        rest = sys.argv[1:] if arguments is None else list(arguments)
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.sets", *rest], {**os.environ, **THREADS})
    settings = chosen()
    for set_name in options.sets:
        cards, without, other = matched(set_name, options.models)
        figures: dict[str, float] = {f"left_out_{name}": count for name, count in without.items()}
        figures.update({f"other_object_{name}": count for name, count in other.items()})
        figures["set_labels"] = sum(label_counts(set_name).values())
        more: dict[str, Any] = {"settings": settings, "variants": {}}
        kinds = [*(["masked"] if cards else []), *(["clusters"] if cards and set_name in WITHOUT_MASKS else [])]
        for kind, found in measure(set_name, cards, settings, options.labels, kinds).items():
            labels, more["variants"][kind] = with_better_variant(found)
            labels = timed_in_one_run(labels)
            figures.update(figures_of(labels, "" if kind == "masked" else f"{kind}_"))
            more[f"{kind}_labels"] = labels
        print(set_name)
        for key, value in figures.items():
            print(f"  {key}: {value:.4g}")
        if options.labels is None:
            results.write_result(f"set_{set_name}", "python -m benchmarks.sets", figures, options.output, more)
        else:
            print("a partial run: nothing written")


if __name__ == "__main__":
    main()
