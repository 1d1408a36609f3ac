"""Which setting each peer gets: all of its settings on the same dev instances, the best by recall.

    python -m benchmarks.peers_settings            -> results/peers_settings.json (20 minutes on one core)

Instances: the first frame of every placement in ycbv's dev frames (12 objects, 13 placements), with the true mask. Every pose
goes through our own refinement. Recall is that of MSSD-depth at 10 % of the diameter (``benchmarks.real``), of the better of the
peer's first pose and of its best fitting one; of two settings with equal recall the faster one is chosen. A call is killed after
30 s, a training after 120 s; both count as misses.

Figures, for each peer and setting: recall, median ms, time-outs, trainings that did not end. ``chosen`` is the setting that
``benchmarks.sets`` uses. A stopped run resumes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, results, rows
from benchmarks.crops import Crop, crops
from benchmarks.methods import better_variant, hit, median_ms, peer_row, points_of, segment_of, worker
from benchmarks.peers import PEERS
from benchmarks.peers.worker import Worker
from benchmarks.set_objects import card_name, label_counts
from benchmarks.speed import THREADS
from pose_node.config import PipelineConfig
from pose_node.objects.card import ObjectCard, load_card
from pose_node.objects.surface import SURFACE_FILE
from pose_node.pose.refine import Refiner

SET = "ycbv"
MOST_INSTANCES = 30
RESULT = results.FOLDER / "peers_settings.json"


def instances() -> dict[str, list[Crop]]:
    """Object name -> the first crop of each of its placements."""
    found: dict[str, list[Crop]] = {}
    for object_id in label_counts(SET):
        placements: dict[str, list[Crop]] = {}
        for crop in crops(SET, object_id):
            placements.setdefault(crop.placement, []).append(crop)
        found[card_name(SET, object_id)] = [group[0] for group in placements.values()]
    if sum(map(len, found.values())) > MOST_INSTANCES:
        raise ValueError(f"{SET}: found more than {MOST_INSTANCES} dev instances, expected at most as many.")
    return found


def chosen() -> dict[str, str]:
    """Peer -> the name of its setting. Raises FileNotFoundError before the first run."""
    if not RESULT.exists():
        raise FileNotFoundError(f"{RESULT}: not there yet, run python -m benchmarks.peers_settings first.")
    found: dict[str, str] = json.loads(RESULT.read_text())["chosen"]
    return found


class Trials:
    """Runs each (peer, setting, object, crop) in turn; a peer's process is kept for one object and setting."""

    def __init__(self, dev: dict[str, list[Crop]], cards: dict[str, ObjectCard]) -> None:
        self.crops = {crop.key: crop for group in dev.values() for crop in group}
        self.cards, self.config = cards, PipelineConfig()
        self.refiners = {name: Refiner(card, self.config.refine) for name, card in cards.items()}
        self._peer: tuple[tuple[str, str, str], Worker] | None = None

    def run(self, key: str) -> rows.Row:
        peer, setting, crop_key = key.split(" ")
        crop = self.crops[crop_key]
        card = self.cards[crop.name]
        mine = (peer, setting, crop.name)
        if self._peer is None or self._peer[0] != mine:
            self.close()
            self._peer = (mine, worker(peer, setting, crop))
        segment = segment_of(crop, card, self.config.segment)
        answer = self._peer[1].poses(points_of(crop), crop.cloud.viewpoint_m)
        return peer_row(answer, crop, segment, card, self.refiners[crop.name])

    def close(self) -> None:
        if self._peer is not None:
            self._peer[1].close()


def figures_of(found: dict[tuple[str, str], list[rows.Row]]) -> tuple[dict[str, float], dict[str, str]]:
    """Figures of every (peer, setting), and each peer's best setting."""
    figures: dict[str, float] = {}
    best: dict[str, tuple[float, float, str]] = {}
    for (peer, setting), trials in found.items():
        variant = better_variant(trials)
        recall = results.share([hit(t[variant]) for t in trials])
        ms = median_ms([t[variant] for t in trials])
        figures[f"{peer}_{setting}_mssd_depth"] = recall
        figures[f"{peer}_{setting}_ms_p50"] = ms
        for outcome in ("timed_out", "untrained", "failed"):
            count = sum(t["outcome"] == outcome for t in trials)
            if count or outcome == "timed_out":
                figures[f"{peer}_{setting}_{outcome}"] = count
        best[peer] = min(best.get(peer, (np.inf, np.inf, "")), (-recall, float(np.nan_to_num(ms)), setting))
    return figures, {peer: setting for peer, (_, _, setting) in best.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models", type=Path, default=data.ROOT / "models", help="object folders; networks are not needed"
    )
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    if any(os.environ.get(k) != v for k, v in THREADS.items()):  # libraries read these when they load
        rest = sys.argv[1:] if arguments is None else list(arguments)
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.peers_settings", *rest], {**os.environ, **THREADS})
    dev = instances()
    cards = {name: load_card(options.models / name) for name in dev}
    trials = Trials(dev, cards)
    found: dict[tuple[str, str], list[rows.Row]] = {}
    settings: dict[str, Any] = {}
    here = Path(__file__).parent
    # The refinement depends on the objects' surfaces; their networks are not used here.
    surfaces = [hashlib.sha256((card.folder / SURFACE_FILE).read_bytes()).hexdigest() for card in cards.values()]
    try:
        for peer in options.peers:
            code = [here / "methods.py", here / "crops.py", here / "peers" / "clouds.py", here / "peers" / f"{peer}.py"]
            for setting, values in PEERS[peer].settings.items():
                mark = rows.fingerprint([], None, peer, setting, values, surfaces, code=code)
                keys = [f"{peer} {setting} {crop.key}" for group in dev.values() for crop in group]
                name = f"peers_settings/{peer}-{setting}-{mark}"
                found[peer, setting] = rows.measure(name, keys, trials.run, lambda: None, (), jobs=1)
                settings.setdefault(peer, {})[setting] = asdict(values)
    finally:
        trials.close()
    figures, best = figures_of(found)
    figures = {"instances": len(trials.crops), "objects": len(dev), **figures}
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    print(best)
    if set(options.peers) == set(PEERS):
        more = {"chosen": best, "settings": settings, "dev_instances": sorted(trials.crops)}
        results.write_result("peers_settings", "python -m benchmarks.peers_settings", figures, options.output, more)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
