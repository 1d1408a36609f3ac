"""Figures of labels by several methods, as ``benchmarks.sets`` writes and ``benchmarks.table`` pools them.

Of every method, as shares of the labels within 10 % of the diameter:

- ``mssd_depth`` (with ``_low`` and ``_high``: 95 %, bootstrap over placements), ``mssd``, ``add_s``: of its answers, see
  ``benchmarks.real``. Medians are of the answered.
- ``first``: its first pose before any refinement. ``proposed``: any pose before, ``refined``: any pose after refinement.

Of ours also:

- ``chosen``: the best estimate, accepted or not. ``lost_...``: labels by the stage that lost them. No pose within 10 % before
  refinement nor after: not_proposed; before only: refined_away; after, but not chosen: not_chosen; chosen, but refused: refused.
- ``wrong_name_accepted``: of the masks offered under the name of another object of the set, the share accepted.
  ``wrong_name_auc``: chance that a right answer has a higher score than such an offer.
- ``ours_minus_<peer>``, ``ours_first_minus_<peer>``: differences of recall with their paired intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks import results, rows
from benchmarks.methods import ERRORS, STAGES, VARIANTS, better_variant, hit, times_ms
from benchmarks.peers import PEERS
from pose_node.evaluation.figures.intervals import mean_interval
from pose_node.evaluation.figures.paired_differences import mean_difference

LOST = ("not_proposed", "refined_away", "not_chosen", "refused")
OUTCOMES = ("timed_out", "untrained", "failed")
_FACTS = ("key", "object", "placement")


def with_better_variant(found: Sequence[rows.Row], peers: Sequence[str]) -> tuple[list[rows.Row], dict[str, str]]:
    """Rows in which each peer has one answer, and the variant that was chosen."""
    variants = {peer: better_variant([row[peer] for row in found]) for peer in peers}
    out = []
    for row in found:
        one = dict(row)
        for peer, variant in variants.items():
            rest = {k: v for k, v in row[peer].items() if k not in VARIANTS}
            one[peer] = {**rest, **row[peer][variant]}
        out.append(one)
    return out, variants


def methods_of(found: Sequence[rows.Row]) -> list[str]:
    """The methods that have a row for every label."""
    return [key for key in found[0] if key not in _FACTS and all(key in row for row in found)]


def figures_of(found: Sequence[rows.Row], min_score: float, places: Sequence[str] | None = None) -> dict[str, float]:
    """Figures of labels by all their methods. places: of the labels, instead of their own."""
    places = places or [row["placement"] for row in found]
    names = list(dict.fromkeys(row["object"] for row in found))
    out: dict[str, float] = {"labels": len(found), "placements": len(set(places))}
    for name in names:
        out[f"labels_{name}"] = sum(row["object"] == name for row in found)
    methods = methods_of(found)
    for method in methods:
        mine = [row[method] for row in found]
        own = _recalls(mine, places)
        if method not in PEERS:
            own.update(_stages(mine), **_names(mine, places, min_score))
        for name in names:
            own[f"mssd_depth_{name}"] = results.share([hit(r[method]) for r in found if r["object"] == name])
        out.update({f"{method}_{key}": value for key, value in own.items()})
    for peer in PEERS if "ours" in methods else ():
        if peer in methods:
            for key, error in (("ours_minus", "mssd_depth"), ("ours_first_minus", "first")):
                ours, theirs = ([hit(row[m], error) for row in found] for m in ("ours", peer))
                difference = mean_difference(theirs, ours, places)
                out[f"{key}_{peer}"] = difference.b - difference.a
                out[f"{key}_{peer}_low"], out[f"{key}_{peer}_high"] = difference.low, difference.high
    return out


def lost_at(row: rows.Row) -> str | None:
    """The stage that lost a label of ours, None where its answer is right."""
    if hit(row):
        return None
    if hit(row, "chosen"):
        return "refused"
    if hit(row, "refined"):
        return "not_chosen"
    return "refined_away" if hit(row, "proposed") else "not_proposed"


def scores(found: Sequence[rows.Row], method: str = "ours") -> list[tuple[float, bool]]:
    """(score, whether the pose is right) of every label, with score 0 where there is no estimate."""
    return [(row[method]["score"] or 0.0, hit(row[method], "chosen")) for row in found]


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Chance that a positive has the higher score, ties half; NaN without both."""
    if not len(positive) or not len(negative):
        return math.nan
    gap = np.subtract.outer(np.asarray(positive, float), np.asarray(negative, float))
    return float(np.mean((gap > 0) + 0.5 * (gap == 0)))


def _recalls(mine: Sequence[rows.Row], places: Sequence[str]) -> dict[str, float]:
    out: dict[str, float] = {}
    for error in (*ERRORS[:3], *STAGES):
        out[error] = results.share([hit(m, error) for m in mine])
    low, high = mean_interval(np.array([hit(m) for m in mine], float), places)
    out["mssd_depth_low"], out["mssd_depth_high"] = float(low), float(high)
    for error in ERRORS[3:]:
        out[error] = results.percentile([m[error] for m in mine if m[error] is not None], 50)
    out["answered"] = results.share([m["mssd"] is not None for m in mine])
    out["ms_p50"], out["ms_p99"] = (results.percentile(times_ms(mine), q) for q in (50, 99))
    for outcome in OUTCOMES:
        out[outcome] = sum(m["outcome"] == outcome for m in mine)
    return out


def _stages(mine: Sequence[rows.Row]) -> dict[str, float]:
    lost = [lost_at(m) for m in mine]
    return {
        "chosen": results.share([hit(m, "chosen") for m in mine]),
        **{f"lost_{stage}": sum(each == stage for each in lost) for stage in LOST},
    }


def _names(mine: Sequence[rows.Row], places: Sequence[str], min_score: float) -> dict[str, float]:
    offers = [(score or 0.0, place) for m, place in zip(mine, places) for score in m["others"].values()]
    accepted = np.array([score >= min_score for score, _ in offers], float)
    low, high = mean_interval(accepted, [place for _, place in offers]) if offers else (math.nan, math.nan)
    right = [m["score"] for m in mine if hit(m, "chosen")]
    return {
        "wrong_names": len(offers),
        "wrong_name_accepted": results.share(list(accepted)),
        "wrong_name_accepted_low": float(low),
        "wrong_name_accepted_high": float(high),
        "wrong_name_auc": auc(right, [score for score, _ in offers]),
    }
