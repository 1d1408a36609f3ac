"""Recall and time of our pipeline and of every peer, on every set: docs/results.md and docs/accuracy_time.png, from ``results/set_*.json`` alone.

    python -m benchmarks.table

Sets with ``RANKED`` labels or more are ranked and pooled, the others listed. What was left out is listed with its labels and the
reason; no cell is empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.methods import hit, median_ms
from benchmarks.set_objects import SETS
from pose_node.evaluation.figures.intervals import MIN_CLUSTERS, mean_interval
from pose_node.evaluation.figures.paired_differences import mean_difference

RANKED = 10
TITLES = {"ours": "ours", "ppf": "PPF", "ransac": "FPFH+RANSAC", "fgr": "FPFH+FGR", "kiss": "KISS-Matcher"}
PEERS = tuple(TITLES)[1:]
OUTCOMES = {"timed_out": "timed out", "untrained": "untrained", "failed": "failed"}
KINDS = {"masked": "", "clusters": "clusters_"}
SAME_SCENES = {"ycbv_demo": "ycbv"}  # other frames of the same sequences: the same placements
DOCS = results.ROOT / "docs"
COLOURS = {"ours": "#c0392b", "ppf": "#2c5f8a", "ransac": "#3d8f5f", "fgr": "#8a6d2c", "kiss": "#6b4a8c"}

Content = Mapping[str, Any]


def load(folder: Path = results.FOLDER) -> dict[str, Content]:
    """Set -> its result file; sets that have not been run are missing."""
    paths = {name: folder / f"set_{name}.json" for name in SETS}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def labels(content: Content, kind: str = "masked") -> list[Any]:
    """The rows of a set, one a label."""
    found: list[Any] = content.get(f"{kind}_labels", [])
    return found


def ranked(loaded: Mapping[str, Content], kind: str = "masked") -> list[str]:
    """Sets with enough labels."""
    return [name for name, content in loaded.items() if len(labels(content, kind)) >= RANKED]


def pooled(rows: Sequence[Any]) -> dict[str, float]:
    """Recall, median ms and outcomes of every method over labels of several sets, and ours minus each peer's."""
    places = [_place(row) for row in rows]
    out: dict[str, float] = {"labels": len(rows), "placements": len(set(places))}
    hits = {method: [hit(row[method]) for row in rows] for method in TITLES}
    for method in TITLES:
        out[f"{method}_mssd_depth"] = results.share(hits[method])
        out[f"{method}_ms_p50"] = median_ms([row[method] for row in rows])
        for outcome in OUTCOMES:
            out[f"{method}_{outcome}"] = sum(row[method]["outcome"] == outcome for row in rows)
    for peer in PEERS:
        difference = mean_difference(hits[peer], hits["ours"], places)
        out[f"ours_minus_{peer}"] = difference.b - difference.a
        out[f"ours_minus_{peer}_low"], out[f"ours_minus_{peer}_high"] = difference.low, difference.high
    return out


def of_sets(loaded: Mapping[str, Content], names: Sequence[str], kind: str = "masked") -> dict[str, float]:
    """``pooled`` over the labels of these sets."""
    return pooled([row for name in names for row in labels(loaded[name], kind)])


def best_peer(figures: Mapping[str, Any], prefix: str = "") -> str:
    """The peer of highest recall, the faster one of two."""
    return min(PEERS, key=lambda p: (-figures[f"{prefix}{p}_mssd_depth"], figures[f"{prefix}{p}_ms_p50"] or np.inf))


def left_out(loaded: Mapping[str, Content]) -> list[list[str]]:
    """[set, object, labels, reason] of all labels without a network."""
    reasons = {"left_out_": "no network", "other_object_": "the network of that name is of another size"}
    return [
        [name, key.removeprefix(prefix), str(count), reason]
        for name, content in loaded.items()
        for prefix, reason in reasons.items()
        for key, count in content["figures"].items()
        if key.startswith(prefix)
    ]


def below(loaded: Mapping[str, Content]) -> tuple[list[str], list[str]]:
    """Ranked sets on which ours is below the best peer: by more than the interval, and without an interval."""
    significant, without_interval = [], []
    for name in ranked(loaded):
        figures = loaded[name]["figures"]
        key = f"ours_minus_{best_peer(figures)}"
        if figures[key] < 0.0:
            if figures[f"{key}_high"] is None:
                without_interval.append(name)
            elif figures[f"{key}_high"] < 0.0:
                significant.append(name)
    return significant, without_interval


def page(loaded: Mapping[str, Content]) -> str:
    """docs/results.md."""
    high = {name: loaded[name]["figures"] for name in ranked(loaded)}
    low = {name: c["figures"] for name, c in loaded.items() if name not in high and labels(c)}
    clusters = {name: c["figures"] for name, c in loaded.items() if labels(c, "clusters")}
    unmeasured = [[name, *_unmeasured(loaded.get(name))] for name in SETS if name not in high and name not in low]
    significant, without_interval = below(loaded)
    text = [
        "# Comparison with other methods, set by set",
        "",
        "Written by `python -m benchmarks.table` from `benchmarks/results/set_*.json`.",
        'How the other methods ("peers") are run: [benchmarks/README.md](../benchmarks/README.md).',
        "",
        "- All methods get the same masks, points and refinement, on one thread.",
        "- Recall: share of labels with MSSD below 10 % of the diameter (`mssd_depth`).",
        "- Time: median processor time a label.",
        "- Difference: our recall minus that of the best peer, in percentage points.",
        "- Interval: 95 %, paired bootstrap over placements. Fewer than {fewest} placements give none.",
        "- Neighbouring frames of a scene show one placement. `ycbv_demo` shows the placements of `ycbv` again.",
        "",
        "![Accuracy against time](accuracy_time.png)",
        "",
        f"## Ranked sets: {RANKED} labels or more",
        *_tables({**high, "**all ranked**": of_sets(loaded, list(high))}),
        "",
        f"Below the best peer by more than the interval: {', '.join(significant) or 'none'}.",
        f"Below the best peer, without an interval: {', '.join(without_interval) or 'none'}.",
        "",
        f"## Sets with fewer than {RANKED} labels",
        *_tables({**low, "**all sets**": of_sets(loaded, list(loaded))}),
        "",
        "## No masks: the same clusters for all methods",
        "The answer of a method is its pose with the highest score by our pipeline.",
        *(_tables(clusters, KINDS["clusters"]) if clusters else ["", "Not run yet."]),
        "",
        "## Not measured",
        *lines(("set", "labels", "reason"), unmeasured),
        "",
        "## Objects left out",
        "No method was asked for these labels, and no figure above counts them.",
        "",
        *lines(("set", "object", "labels", "reason"), left_out(loaded)),
        "",
        "## Recall by object",
        *lines(("set", "object", "labels", *TITLES.values()), _by_object(loaded)),
    ]
    return "\n".join(text).format(fewest=MIN_CLUSTERS) + "\n"


def lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]


def draw(loaded: Mapping[str, Content], path: Path) -> None:
    """Recall against median time: small, each set with its labels as size; large, pooled over the ranked sets with its interval."""
    import matplotlib
    import matplotlib.ticker

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.0, 4.4))
    names = ranked(loaded)
    rows = [r for name in names for r in labels(loaded[name])]
    for method, title in TITLES.items():
        for name in names:
            f = loaded[name]["figures"]
            size = 12.0 + f["labels"]
            axes.scatter(
                f[f"{method}_ms_p50"] or np.nan,
                100 * f[f"{method}_mssd_depth"],
                s=size,
                color=COLOURS[method],
                alpha=0.35,
                lw=0,
            )
        hits = np.array([hit(r[method]) for r in rows], float)
        low, high = mean_interval(hits, [_place(r) for r in rows])
        mean, ms = hits.mean(), median_ms([r[method] for r in rows])
        reach = np.nan_to_num([[mean - low], [high - mean]])
        axes.errorbar(
            ms,
            100 * mean,
            yerr=100 * np.maximum(reach, 0.0),
            fmt="o",
            ms=9,
            capsize=4,
            color=COLOURS[method],
            label=title,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_ylim(-3, 103)
    axes.set_xlabel("median time of the processor for one crop (ms)")
    axes.set_ylabel("labels within 10 % of the diameter (%)")
    axes.set_title(f"{len(rows)} labels of {len(names)} sets: pooled (large), each set (small)", fontsize=10)
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def main() -> None:
    loaded = load()
    if not ranked(loaded):
        raise SystemExit(f"{results.FOLDER}: found no ranked set_*.json, expected some (python -m benchmarks.sets).")
    results.write_text(DOCS / "results.md", page(loaded))
    draw(loaded, DOCS / "accuracy_time.png")
    print(f"written: {DOCS / 'results.md'}, {DOCS / 'accuracy_time.png'}")


def _tables(figures: Mapping[str, Mapping[str, Any]], prefix: str = "") -> list[str]:
    """Recall, time and difference of these sets, and which answers are missing. figures: name -> figures of a set."""
    recall = [
        [name, str(f[f"{prefix}labels"]), str(f[f"{prefix}placements"]), *(_recall(f, f"{prefix}{m}") for m in TITLES)]
        for name, f in figures.items()
    ]
    time = [[name, *(_ms(f[f"{prefix}{m}_ms_p50"]) for m in TITLES)] for name, f in figures.items()]
    out = ["", "Recall:", "", *lines(("set", "labels", "placements", *TITLES.values()), recall)]
    out += ["", "Median time:", "", *lines(("set", *TITLES.values()), time)]
    head = ("set", "best peer", "difference", "lower bound", "upper bound")
    out += ["", "Difference:", "", *lines(head, [[name, *_difference(f, prefix)] for name, f in figures.items()])]
    missing = [
        [name, title, words, str(f[f"{prefix}{method}_{outcome}"])]
        for name, f in figures.items()
        for method, title in TITLES.items()
        for outcome, words in OUTCOMES.items()
        if f[f"{prefix}{method}_{outcome}"]
    ]
    if missing:
        out += ["", "Missing answers, counted as misses:", "", *lines(("set", "method", "outcome", "labels"), missing)]
    return out


def _recall(figures: Mapping[str, Any], key: str) -> str:
    return f"{100 * figures[f'{key}_mssd_depth']:.0f} %"


def _ms(value: float | None) -> str:
    return "never asked" if value is None or not np.isfinite(value) else f"{value:.0f} ms"


def _difference(figures: Mapping[str, Any], prefix: str) -> list[str]:
    """[best peer, difference, lower bound, upper bound]."""
    peer = best_peer(figures, prefix)
    key = f"{prefix}ours_minus_{peer}"
    bounds = (figures[f"{key}_low"], figures[f"{key}_high"])
    known = [b is not None and np.isfinite(b) for b in bounds]
    return [
        TITLES[peer],
        f"{100 * figures[key]:+.0f}",
        *(f"{100 * b:+.0f}" if k else "none" for b, k in zip(bounds, known)),
    ]


def _place(row: Any) -> str:
    first, slash, rest = str(row["placement"]).partition("/")
    return SAME_SCENES.get(first, first) + slash + rest


def _unmeasured(content: Content | None) -> list[str]:
    """[labels, reason] of a set without a figure."""
    return ["unknown", "not run yet"] if content is None else [str(content["figures"]["set_labels"]), "no network"]


def _by_object(loaded: Mapping[str, Content]) -> list[list[str]]:
    out = []
    for name, content in loaded.items():
        figures = content["figures"]
        for key, count in figures.items():
            if key.startswith("labels_"):
                thing = key.removeprefix("labels_")
                recalls = [f"{100 * figures[f'{m}_mssd_depth_{thing}']:.0f} %" for m in TITLES]
                out.append([name, thing, str(count), *recalls])
    return out


if __name__ == "__main__":
    main()
