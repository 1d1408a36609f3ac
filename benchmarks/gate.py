"""Does accuracy change? The pipeline on frozen inputs, each figure with its interval and the paired difference from an earlier run.

    python -m benchmarks.gate                              -> results/gate.json (two to five minutes on two cores)
    python -m benchmarks.gate --against RESULT.json        measures, prints what changed since RESULT, and writes nothing
    python -m benchmarks.gate --parts rendered demo        some parts, printed and not written

Parts (inputs: ``benchmarks.gate_inputs``):

- rendered: 200 views of the twelve objects in their masks; correct below 5 degrees and 10 % of the diameter.
- demo, dev: real labels in their true masks; correct at MSSD up to 10 % of the diameter and the card's symmetry.
- demo_whole, dev_whole: whole frames without masks, all twelve objects searched for; correct as above.
- wrong_name: the demo's masks, each under the name of the object of most similar size: every estimate is a false alarm.

Figures:

- recall. refined: share of labels with any correct pose after refinement. chosen: share of those whose estimate is correct.
- false_alarms: estimates a call that match no label of their object.
- nees: median over the correct estimates of the squared error by the stated covariance, over six (rendered only: labels of real
  frames err by more than the estimates). nees_log10: the mean of its logarithm.
- score, error_log10: means over correct estimates of the score, and of the logarithm of MSSD over the diameter.

Figures are compared trial by trial, with intervals by placement. One is ``worse`` when recall, refined or chosen falls, or
false_alarms or error_log10 rises, by more than its interval; ``moved`` is any other that leaves its interval. The count of
calls with the same bytes is valid on one machine with one set of libraries.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import data, gate_inputs, results, rows
from benchmarks.gate_inputs import Case
from benchmarks.rendered import HIT_DEG, HIT_REL, nees, pose_errors
from pose_node.arrays import Array
from pose_node.evaluation import metrics
from pose_node.evaluation.figures.intervals import MIN_CLUSTERS, mean_interval, statistic_interval
from pose_node.evaluation.runs.reference_model import reference_of_card
from pose_node.types import Estimate, Result

PARTS = ("rendered", "demo", "wrong_name", "demo_whole", "dev", "dev_whole")
RIGHT_REL = 0.1  # MSSD over the diameter
BETTER = {
    "recall": 1,
    "refined": 1,
    "chosen": 1,
    "false_alarms": -1,
    "error_log10": -1,
    "score": 0,
    "nees": 0,
    "nees_log10": 0,
}
# Means of continuous values differ by rounding from machine to machine: less than this is no change.
LEAST = {"error_log10": 0.005, "score": 0.002, "nees_log10": 0.01}

Trial = dict[str, Any]  # key, part, placement, values {figure: number}, and "bytes" in the first of a call


class Evaluator:
    """Runs the pipeline and compares with the labels."""

    def __init__(self, config: Any = None) -> None:
        import pose_node

        folders = [data.ROOT / "models" / name for name in gate_inputs.objects()]
        self.pipeline = pose_node.Pipeline.load(folders, config=config)
        self.truths = {name: reference_of_card(card) for name, card in self.pipeline.cards.items()}

    def trials(self, case: Case) -> list[Trial]:
        """One trial for each label of the case, and one for the frame if any object may be found."""
        masks = {case.masked_object: [case.mask]} if case.masked_object else None
        result = self.pipeline.estimate(case.cloud, masks=masks)
        mine = [(name, T) for name, T in case.labels if case.masked_object in (None, name)]
        found = [(f"/{i}/{name}", self._label(case, result, name, T)) for i, (name, T) in enumerate(mine)]
        out = [_trial(case, case.placement, where, values) for where, values in found]
        if case.masked_object is None or not mine:
            wrong = [e for e in result.estimates if not self._any_right(case, e)]
            # Each frame is its own placement: what is visible beside its labels changes with the camera.
            out.append(_trial(case, case.key, "", {"false_alarms": len(wrong)}))
        out[0]["bytes"] = _digest(result)
        return out

    def _label(self, case: Case, result: Result, name: str, T_label: Array) -> dict[str, float]:
        estimates = [e for e in result.estimates if e.object_name == name]
        right = [e for e in estimates if self._right(case, e.T_camera_object, name, T_label)]
        refined = [r.T_camera_object for r in result.refined if r.hypothesis.object_name == name]
        known = any(self._right(case, T, name, T_label) for T in refined)
        values = {"recall": float(bool(right)), "refined": float(known)}
        if known:
            values["chosen"] = float(bool(right))
        if right:
            values["score"] = right[0].score
            values["error_log10"] = float(np.log10(self._mssd_rel(right[0], name, T_label)))
            if case.part == "rendered":
                values["nees"] = nees(right[0], T_label, self.pipeline.cards[name])
                values["nees_log10"] = float(np.log10(values["nees"]))
        return {key: float(f"{value:.6g}") for key, value in values.items()}

    def _any_right(self, case: Case, estimate: Estimate) -> bool:
        name, T = estimate.object_name, estimate.T_camera_object
        return any(self._right(case, T, name, T_label) for label, T_label in case.labels if label == name)

    def _right(self, case: Case, T: Array, name: str, T_label: Array) -> bool:
        if case.part == "rendered":
            turn, shift = pose_errors(T, T_label, self.pipeline.cards[name])
            return bool(turn < HIT_DEG and shift < HIT_REL)
        truth = self.truths[name]
        return metrics.mssd(truth.hull_m, T, T_label, truth.symmetries) <= RIGHT_REL * truth.diameter_m

    def _mssd_rel(self, estimate: Estimate, name: str, T_label: Array) -> float:
        truth = self.truths[name]
        return metrics.mssd(truth.hull_m, estimate.T_camera_object, T_label, truth.symmetries) / truth.diameter_m


def _trial(case: Case, placement: str, where: str, values: dict[str, float]) -> Trial:
    place = placement if case.masked_object or not where else placement + where
    return {"key": case.key + where, "part": case.part, "placement": place, "values": values}


def figures_of(trials: Sequence[Trial]) -> dict[str, float]:
    """{part_figure, and _low, _high of its interval}; the interval is NaN below three placements."""
    out: dict[str, float] = {}
    for part in PARTS:
        mine = [t for t in trials if t["part"] == part]
        if mine:
            out[f"{part}_calls"] = sum("bytes" in t for t in mine)
        for figure in BETTER:
            have = [t for t in mine if figure in t["values"]]
            if have:
                values = np.array([t["values"][figure] for t in have])
                low, high = _interval(figure, values[:, None], [t["placement"] for t in have])
                out[f"{part}_{figure}"] = _centre(figure, values)
                out.update({f"{part}_{figure}_low": low, f"{part}_{figure}_high": high})
    return out


def differences(before: Sequence[Trial], after: Sequence[Trial]) -> dict[str, dict[str, Any]]:
    """{part_figure: before, after, low, high (of the difference), pairs, verdict}; verdict: worse, better, moved or "".

    Raises ValueError when the runs share no trial.
    """
    earlier = {t["key"]: t for t in before}
    pairs = [(earlier[t["key"]], t) for t in after if t["key"] in earlier]
    if not pairs:
        raise ValueError("gate: found no trial that both runs share, expected results of the same inputs.")
    out: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        for figure, sense in BETTER.items():
            both = [(a, b) for a, b in pairs if b["part"] == part and all(figure in t["values"] for t in (a, b))]
            if not both:
                continue
            values = np.array([[t["values"][figure] for t in pair] for pair in both])
            low, high = _interval(figure, values, [b["placement"] for _, b in both])
            a, b = _centre(figure, values[:, 0]), _centre(figure, values[:, 1])
            verdict = ""
            if abs(b - a) > LEAST.get(figure, 0.0) and (low > 0.0 or high < 0.0):
                verdict = "moved" if not sense else "better" if (b - a) * sense > 0 else "worse"
            out[f"{part}_{figure}"] = {
                "before": a,
                "after": b,
                "low": low,
                "high": high,
                "pairs": len(both),
                "verdict": verdict,
            }
    return out


def same_bytes(before: Sequence[Trial], after: Sequence[Trial]) -> tuple[int, int]:
    """How many of the shared calls gave the same bytes, and how many are shared."""
    earlier = {t["key"]: t["bytes"] for t in before if "bytes" in t}
    both = [(earlier[t["key"]], t["bytes"]) for t in after if "bytes" in t and t["key"] in earlier]
    return sum(a == b for a, b in both), len(both)


def load_trials(path: Path) -> list[Trial]:
    """The trials of a result. Raises ValueError when it has none."""
    content = json.loads(path.read_text())
    if not content.get("trials"):
        raise ValueError(f"{path}: found no trials, expected a result of benchmarks.gate.")
    return content["trials"]


def cases(parts: Sequence[str], every: int = 1, most: int | None = None) -> Iterable[Case]:
    """Questions of these parts, in a fixed order; most: number of rendered views; every: one in so many of the demo's frames."""
    if "rendered" in parts:
        yield from gate_inputs.rendered(most)
    if {"demo", "demo_whole", "wrong_name"} & set(parts):
        yield from (q for q in gate_inputs.demo(every) if q.part in parts)
    if {"dev", "dev_whole"} & set(parts):
        yield from (q for q in gate_inputs.recorded() if q.part in parts)


def table_of(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Differences as text, a figure a line."""
    lines = [f"{'figure':26} {'before':>9} {'after':>9} {'difference':>11}   95 % interval      pairs"]
    for key, d in found.items():
        interval = f"{d['low']:+.4f} to {d['high']:+.4f}" if np.isfinite(d["low"]) else "unknown (few places)"
        lines.append(
            f"{key:26} {d['before']:9.4f} {d['after']:9.4f} {d['after'] - d['before']:+11.4f}   {interval}  {d['pairs']:4d}  {d['verdict']}"
        )
    return "\n".join(lines)


def _centre(figure: str, values: Array) -> float:
    return float(np.median(values) if figure == "nees" else np.mean(values))


def _interval(figure: str, values: Array, placements: Sequence[str]) -> tuple[float, float]:
    """Of the centre (mean or median) of values [N, 1], or of the difference of the centres of values [N, 2]."""
    if len(set(placements)) < MIN_CLUSTERS:
        return float("nan"), float("nan")
    if figure == "nees":
        return statistic_interval(
            values, placements, lambda v: float(np.median(v[:, -1]) - (np.median(v[:, 0]) if v.shape[1] > 1 else 0.0))
        )
    low, high = mean_interval(values[:, -1] - (values[:, 0] if values.shape[1] > 1 else 0.0), placements)
    return float(low), float(high)


def _digest(result: Result) -> str:
    """Hash of everything a user receives: equal for equal bytes."""
    digest = hashlib.sha256()
    for e in result.estimates:
        digest.update(e.object_name.encode())
        for array in (e.T_camera_object, e.covariance, np.array([e.score]), *(T for T, _ in e.alternatives)):
            digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()[:10]


_worker: dict[str, Any] = {}


def _prepare(config: Path | None, parts: Sequence[str]) -> None:
    _worker.update(evaluator=Evaluator(config), cases={q.key: q for q in cases(parts)})


def _run(key: str) -> list[Trial]:
    return _worker["evaluator"].trials(_worker["cases"][key])


def measure(parts: Sequence[str], config: Path | None, jobs: int) -> list[Trial]:
    """All trials of some parts, in their order."""
    keys = [q.key for q in cases(parts)]
    whole_first = sorted(
        keys, key=lambda key: "whole" not in key
    )  # the slow ones first, so that both processes end together
    found = dict(tqdm(rows.spread(_run, whole_first, _prepare, (config, parts), jobs, 1), total=len(keys), desc="gate"))
    return [trial for key in keys for trial in found[key]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="an earlier result: print the paired difference, write nothing")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--config", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    before = load_trials(options.against) if options.against else None
    trials = measure(options.parts, options.config, options.jobs)
    for key, value in figures_of(trials).items():
        print(f"{key}: {value:.4g}")
    if before is not None:
        found = differences(before, trials)
        same, shared = same_bytes(before, trials)
        print(f"\n{table_of(found)}\n\nthe same bytes in {same} of {shared} calls")
        worse = [key for key, d in found.items() if d["verdict"] == "worse"]
        if worse:
            print(f"worse by more than the interval: {', '.join(worse)}")
        return 1 if worse else 0
    if set(options.parts) == set(PARTS):
        results.write_result(
            "gate", "python -m benchmarks.gate", figures_of(trials), options.output, {"trials": trials}
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
