"""Whether a score is the probability that a pose is right: real labels of all sets, and rendered views.

    python -m benchmarks.sets            first: the real labels are those of results/set_*.json
    python -m benchmarks.calibration     -> results/calibration.json, docs/calibration.png

Every label or view is one pose with one score: the pipeline runs with the true mask and a threshold of 0, so that poses below
``judge.min_score`` count too. Right: MSSD within 10 % of the diameter, up to what depth cannot tell. ``error``: the expected
calibration error in ten bins (``evaluation.figures.curves``), with its interval over placements; ``confidence``: the mean score;
``right``: the share that is right; ``no_pose``: labels without any pose, left out. ``wrong_name_accepted``: of all masks under
the name of another object of their set, the share that scores 0.5 or more.

Rendered views: the protocol of ``benchmarks.rendered``, its six objects, other seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, rendered, results, rows
from benchmarks.peers import OBJECTS
from benchmarks.real import THRESHOLD
from pose_node.config import JudgeConfig, PipelineConfig
from pose_node.evaluation.figures.curves import Reliability, ScoredEstimates, reliability

FIRST_SEED = 720_000
ACCEPTED = 0.5
PICTURE = data.ROOT / "docs" / "calibration.png"


def real_labels(folder: Path) -> tuple[ScoredEstimates, int, list[float]]:
    """Our poses of all sets' labels in ``folder``, how many labels have none, and the scores of wrong names (0 without a pose)."""
    score, right, places, without, wrong = [], [], [], 0, []
    for path in sorted(folder.glob("set_*.json")):
        for row in json.loads(path.read_text()).get("masked_labels", ()):
            ours = row["ours"]
            wrong += [value or 0.0 for value in ours.get("others", {}).values()]
            if ours.get("score") is None:
                without += 1
                continue
            score.append(ours["score"])
            right.append(ours["chosen"] <= THRESHOLD)
            places.append((path.stem, row["placement"], ""))
    return ScoredEstimates(np.array(score, float), np.array(right, bool), tuple(places)), without, wrong


def rendered_views(models: Path, objects: Sequence[str], count: int, jobs: int) -> tuple[ScoredEstimates, int]:
    """Our poses of rendered views, and how many views have none."""
    score, right, places = [], [], []
    for name in objects:
        mark = rows.fingerprint([models / name], None, code=[Path(__file__), Path(rendered.__file__)])
        seeds = range(FIRST_SEED, FIRST_SEED + count)
        found = rows.measure(f"calibration/{name}-{mark}", seeds, _one, _prepare_worker, (models / name,), jobs)
        for seed, row in zip(seeds, found):
            if row["score"] is not None:
                score.append(row["score"])
                right.append(row["right"])
                places.append((name, str(seed), ""))
    without = count * len(objects) - len(score)
    return ScoredEstimates(np.array(score, float), np.array(right, bool), tuple(places)), without


_worker: dict[str, Any] = {}


def _prepare_worker(folder: Path) -> None:
    import pose_node
    from pose_node.learning.pose_truth import Truth

    pipeline = pose_node.Pipeline.load([folder], config=PipelineConfig(judge=JudgeConfig(min_score=0.0)))
    card = pipeline.cards[folder.name]
    truth = Truth(card.surface, card.diameter_m)
    _worker.update(pipeline=pipeline, card=card, views=rendered.sampler(card), truth=truth)


def _one(seed: int) -> dict[str, Any]:
    card = _worker["card"]
    view = _worker["views"].view(seed)
    cloud, mask = rendered.measured(view)
    found = _worker["pipeline"].estimate(cloud, masks={card.name: [mask]}).estimates
    if not found:
        return {"score": None, "right": False}
    best = max(found, key=lambda e: e.score)
    right = _worker["truth"].right(best.T_camera_object[None], view.T_camera_object, card.surface)
    return {"score": round(float(best.score), 4), "right": bool(right[0])}


def figures_of(kind: str, poses: ScoredEstimates, without: int, found: Reliability) -> dict[str, float]:
    """The figures of one kind of labels."""
    return {
        f"{kind}_labels": len(poses.score),
        f"{kind}_no_pose": without,
        f"{kind}_error": found.gap,
        f"{kind}_error_low": found.gap_interval[0],
        f"{kind}_error_high": found.gap_interval[1],
        f"{kind}_confidence": results.share(poses.score),
        f"{kind}_right": results.share(poses.correct),
    }


def draw(found: dict[str, Reliability], path: Path) -> None:
    """One panel for each kind of labels: share right against mean score of each bin, with intervals; area: how many."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(4.2 * len(found), 4.0), sharey=True, squeeze=False)
    for axes, (title, rel) in zip(panels[0], found.items()):
        there = rel.count > 0
        axes.plot([0, 1], [0, 1], color="0.5", lw=1, ls="--")
        axes.vlines(rel.score[there], rel.low[there], rel.high[there], color="C0", lw=1.5)
        axes.scatter(rel.score[there], rel.correct[there], s=20 + 300 * rel.count[there] / rel.count.sum(), color="C0")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="score")
        axes.set_title(f"{title}: {rel.count.sum()}, calibration error {rel.gap:.3f}", fontsize=10)
        axes.grid(alpha=0.3)
    panels[0][0].set_ylabel("share right")
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=data.ROOT / "models")
    parser.add_argument("--views", type=int, default=150, help="of each object")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sets", type=Path, default=results.FOLDER, help="folder of the set_*.json")
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    figures: dict[str, float] = {}
    drawn: dict[str, Reliability] = {}
    real, without, wrong = real_labels(options.sets)
    views = rendered_views(options.models, OBJECTS, options.views, options.jobs)
    for kind, title, poses, none in (("real", "real labels", real, without), ("rendered", "rendered views", *views)):
        if len(poses.score):
            drawn[title] = reliability(poses)
            figures.update(figures_of(kind, poses, none, drawn[title]))
    figures["wrong_names"] = len(wrong)
    figures["wrong_name_accepted"] = results.share([value >= ACCEPTED for value in wrong])
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if options.views >= 150:
        draw(drawn, PICTURE)
        results.write_result("calibration", "python -m benchmarks.calibration", figures, options.output)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
