"""Every set, every label, every method: ours and the peers with the true masks, one thread, the same refinement.

    python -m benchmarks.sets                          -> results/set_<set>.json, one a set
    python -m benchmarks.sets --set icbin lmo          these sets only
    python -m benchmarks.sets --methods ours           without the peers: printed and not written, as is any run without them
    python -m benchmarks.sets --beside finetuned=DIR   also our pipeline on the folders DIR/<set>/<object> or DIR/<object>
    python -m benchmarks.table                         afterwards: docs/results.md

- Ours: ``Pipeline.estimate`` with the frame's cloud and the true mask, on object folders that ``add-object`` makes of the set's
  meshes (``set_objects.py``): no object is trained. It runs with a threshold of 0, so that refused poses are known too; an
  estimate from ``judge.min_score`` on is an answer.
- Peers: their poses on the same points, kept in ``results/peers`` (``peers/kept.py``; missing ones are asked for first), go through
  our coarse and fine refinement. "first_pose": the pose that a peer ranks first. "best_fit": the refined pose with most points on
  it. The better of the two on a set counts.
- ``others``: the score that our pipeline gives the mask under the names of ``OTHERS`` other objects of the set; null without an
  estimate.
- Time: processor time on one thread, without training and loading; that of the peers' search is from the run that asked them.

The figures: ``set_figures.py``. A stopped run resumes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import results, rows
from benchmarks.crops import Crop, crops
from benchmarks.methods import our_row, peer_row, segment_of
from benchmarks.peers import PEERS, kept
from benchmarks.peers_settings import chosen
from benchmarks.set_figures import figures_of, with_better_variant
from benchmarks.set_objects import SETS, card_name, config_of, label_counts, object_folder
from benchmarks.speed import THREADS
from pose_node.objects.card import CARD_FILE, load_card
from pose_node.objects.surface import SURFACE_FILE
from pose_node.pipeline import Pipeline
from pose_node.pose.refine import Refiner

OTHERS = 2  # wrong names under which a mask is offered
_HERE = Path(__file__).parent


class Ours:
    """Our pipeline with all objects of a set."""

    def __init__(self, set_name: str, folders: Sequence[Path]) -> None:
        config = config_of(set_name)
        self.least = config.judge.min_score
        self.pipeline = Pipeline.load(folders, replace(config, judge=replace(config.judge, min_score=0.0)))
        self.crops: dict[str, Crop] = {}
        self._warm: set[str] = set()

    def row(self, key: str) -> rows.Row:
        """The row of one of ``crops``."""
        crop = self.crops[key]
        if crop.name not in self._warm:  # first calls load libraries and fill caches
            self.pipeline.estimate(crop.cloud, masks={crop.name: [crop.mask]})
            self._warm.add(crop.name)
        start = time.process_time()
        result = self.pipeline.estimate(crop.cloud, masks={crop.name: [crop.mask]})
        ms = 1000.0 * (time.process_time() - start)
        row = our_row(crop, result, ms, self.least)
        row["others"] = {name: self._score(crop, name) for name in self._others(crop)}
        return row

    def _others(self, crop: Crop) -> list[str]:
        """``OTHERS`` names of other objects: those that follow its own, from label to label the next ones, so that all get their turn."""
        cards = list(self.pipeline.cards)
        own = cards.index(crop.name)
        names = [*cards[own + 1 :], *cards[:own]]
        start = OTHERS * list(self.crops).index(crop.key)
        return [names[(start + k) % len(names)] for k in range(min(OTHERS, len(names)))]

    def _score(self, crop: Crop, name: str) -> float | None:
        """The score of the mask under another name."""
        found = self.pipeline.estimate(crop.cloud, masks={name: [crop.mask]}).estimates
        return round(float(max(e.score for e in found)), 4) if found else None


class Refined:
    """The kept answers of a peer on the crops of one object, through our refinement."""

    def __init__(self, set_name: str, peer: str, folder: Path) -> None:
        self.config, self.card = config_of(set_name), load_card(folder)
        self.refiner = Refiner(self.card, self.config.refine)
        self.peer, self.answers = peer, kept.load(set_name)
        self.crops: dict[str, Crop] = {}

    def row(self, key: str) -> rows.Row:
        """The row of one of ``crops``."""
        crop = self.crops[key]
        segment = segment_of(crop, self.card, self.config.segment)
        return peer_row(self.answers[key][self.peer], crop, segment, self.card, self.refiner)


def folders_of(set_name: str, beside: Path | None = None) -> dict[int, Path]:
    """Object id -> its folder, for all labelled objects of a set; those in ``beside`` (DIR/<set>/<object> or DIR/<object>) first.

    Raises FileNotFoundError where ``beside`` has none of them.
    """
    folders = {object_id: object_folder(set_name, object_id) for object_id in label_counts(set_name)}
    if beside is None:
        return folders
    homes = (beside / set_name, beside)
    there = {
        i: home / card_name(set_name, i)
        for home in reversed(homes)
        for i in folders
        if (home / card_name(set_name, i) / CARD_FILE).exists()
    }
    if not there:
        raise FileNotFoundError(f"{beside}: found no object of {set_name}, expected folders named as its objects.")
    return {**folders, **there}


def refinement_mark(folder: Path, set_name: str, *settings: str) -> str:
    """Hash of all that a peer's row depends on but its raw poses: not our networks, nor how ours chooses."""
    config = config_of(set_name)
    stated = repr((config.refine, config.sensor, config.segment, settings))
    digest = hashlib.sha256(stated.encode() + (folder / SURFACE_FILE).read_bytes())
    code = [_HERE / f"{name}.py" for name in ("methods", "crops", "data")]
    for path in [*rows.reached("pose_node.pose.refine", "pose_node.detection.mask_trimming"), *code]:
        if path.parent.name not in ("pose_node", "objects"):  # settings, types and card readers decide nothing here
            digest.update(rows.meaning(path))
    return digest.hexdigest()[:16]


def measure(
    set_name: str, ours: Mapping[str, Path | None], peers: Sequence[str], most: int | None = None
) -> list[rows.Row]:
    """A row a label: {"key", "object", "placement", method: its row}.

    ours: method -> folders beside those that are made; most: the first labels of each object.
    """
    code = [_HERE / f"{name}.py" for name in ("methods", "crops", "sets", "data", "set_objects")]
    settings = chosen()
    folders = {method: folders_of(set_name, beside) for method, beside in ours.items()}
    pipelines = {method: Ours(set_name, list(each.values())) for method, each in folders.items()}
    marks = {
        method: rows.fingerprint(list(each.values()), None, set_name, code=code) for method, each in folders.items()
    }
    out: dict[str, rows.Row] = {}
    for object_id in label_counts(set_name):
        group = {crop.key: crop for crop in list(crops(set_name, object_id))[:most]}
        keys = list(group)
        for crop in group.values():
            out[crop.key] = {"key": crop.key, "object": crop.name, "placement": crop.placement}
        for method, pipeline in pipelines.items():
            pipeline.crops = group
            name = f"sets/{set_name}-{method}-{marks[method]}"
            found = rows.measure(name, keys, pipeline.row, lambda: None, (), jobs=1)
            for key, row in zip(keys, found):
                out[key][method] = row
        for peer in peers:
            folder = object_folder(set_name, object_id, bank=False)
            refined = Refined(set_name, peer, folder)
            refined.crops = group
            mark = refinement_mark(folder, set_name, kept.version(peer, settings[peer]))
            name = f"sets/{set_name}-{card_name(set_name, object_id)}-{peer}-{mark}"
            for key, row in zip(keys, rows.measure(name, keys, refined.row, lambda: None, (), jobs=1)):
                out[key][peer] = row
    return list(out.values())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", nargs="+", default=["all"], choices=("all", *SETS), dest="sets")
    parser.add_argument("--methods", nargs="+", default=["ours", *PEERS], choices=("ours", *PEERS))
    parser.add_argument("--beside", nargs="+", default=[], metavar="NAME=DIR", help="further columns of ours")
    parser.add_argument("--labels", type=int, default=None, metavar="N", help="the first N labels of each object")
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    if any(os.environ.get(k) != v for k, v in THREADS.items()):  # libraries read these when they load
        rest = sys.argv[1:] if arguments is None else list(arguments)
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.sets", *rest], {**os.environ, **THREADS})
    peers = [method for method in options.methods if method in PEERS]
    ours: dict[str, Path | None] = {"ours": None} if "ours" in options.methods else {}
    ours.update({name: Path(folder) for name, _, folder in (each.partition("=") for each in options.beside)})
    for set_name in SETS if "all" in options.sets else options.sets:
        kept.fill(set_name, peers)
        found, variants = with_better_variant(measure(set_name, ours, peers, options.labels), peers)
        figures = figures_of(found, config_of(set_name).judge.min_score)
        print(set_name)
        for key, value in figures.items():
            print(f"  {key}: {value:.4g}", flush=True)
        if options.labels is None and set(peers) == set(PEERS):
            more: dict[str, Any] = {"settings": chosen(), "variants": variants, "masked_labels": found}
            results.write_result(f"set_{set_name}", "python -m benchmarks.sets", figures, options.output, more)
        else:
            print("a partial run: nothing written")


if __name__ == "__main__":
    main()
