"""Recall and time of our pipeline and of every peer, on every set: docs/results.md and docs/accuracy_time.png, from
``results/set_*.json`` and ``results/clusters_ycbv.json`` alone.

    python -m benchmarks.table

Sets with ``RANKED`` labels or more are ranked, the others listed; both are pooled. No cell is empty.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.methods import hit, median_ms
from benchmarks.set_figures import LOST, OUTCOMES, figures_of, methods_of
from benchmarks.set_objects import SETS
from pose_node.config import JudgeConfig
from pose_node.evaluation.figures.intervals import MIN_CLUSTERS, mean_interval

RANKED = 10
TITLES = {"ours": "ours", "ppf": "PPF", "ransac": "FPFH+RANSAC", "fgr": "FPFH+FGR", "kiss": "KISS-Matcher"}
PEERS = tuple(TITLES)[1:]
SAME_SCENES = {"ycbv_demo": "ycbv"}  # other frames of the same sequences: the same placements
HARD, SMALL = ("ycb_realsense", "apc_shelf"), "large_marker"  # where ours was below the peers, and what it refused
DOCS = results.ROOT / "docs"
COLOURS = {"ours": "#c0392b", "ppf": "#2c5f8a", "ransac": "#3d8f5f", "fgr": "#8a6d2c", "kiss": "#6b4a8c"}
_MORE_COLOURS = ("#444444", "#999999")

Content = Mapping[str, Any]
Figures = Mapping[str, Any]


def load(folder: Path = results.FOLDER) -> dict[str, Content]:
    """Set -> its result file; sets that have not been run are missing."""
    paths = {name: folder / f"set_{name}.json" for name in SETS}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def load_clusters(folder: Path = results.FOLDER) -> dict[str, Content]:
    """The same for the sets that were run without masks."""
    return {
        path.stem.removeprefix("clusters_"): json.loads(path.read_text()) for path in folder.glob("clusters_*.json")
    }


def ranked(loaded: Mapping[str, Content]) -> list[str]:
    """Sets with enough labels."""
    return [name for name, content in loaded.items() if len(content["masked_labels"]) >= RANKED]


def of_sets(loaded: Mapping[str, Content], names: Sequence[str]) -> dict[str, float]:
    """The figures of ``set_figures`` over the labels of these sets."""
    rows = [row for name in names for row in loaded[name]["masked_labels"]]
    return figures_of(rows, JudgeConfig().min_score, [_place(row) for row in rows])


def titles(figures: Figures) -> dict[str, str]:
    """Method -> its column's head, for the methods that have figures: ours and further folders of ours first, then the peers."""
    more = [key.removesuffix("_wrong_names") for key in figures if key.endswith("_wrong_names")]
    ours = {method: TITLES.get(method, method) for method in more}
    return {**ours, **{peer: TITLES[peer] for peer in PEERS}}


def best_peer(figures: Figures) -> str:
    """The peer of highest recall, the faster one of two."""
    return min(PEERS, key=lambda p: (-figures[f"{p}_mssd_depth"], figures[f"{p}_ms_p50"] or np.inf))


def below(loaded: Mapping[str, Content]) -> tuple[list[str], list[str]]:
    """Ranked sets on which ours is below the best peer: by more than the interval, and without an interval."""
    significant, without_interval = [], []
    for name in ranked(loaded):
        figures = loaded[name]["figures"]
        if "ours_mssd_depth" not in figures:
            continue
        key = f"ours_minus_{best_peer(figures)}"
        if figures[key] < 0.0:
            if not _known(figures[f"{key}_high"]):
                without_interval.append(name)
            elif figures[f"{key}_high"] < 0.0:
                significant.append(name)
    return significant, without_interval


def bars(loaded: Mapping[str, Content]) -> list[list[str]]:
    """[bar, wanted, measured, "met" or "missed"] of what ours shall reach; empty where ours was not run."""
    if not loaded or "ours" not in methods_of([row for content in loaded.values() for row in content["masked_labels"]]):
        return []
    f = of_sets(loaded, list(loaded))
    gap, lag = f[f"ours_minus_{best_peer(f)}"], f["ours_refined"] - f["ours_chosen"]
    worse, _ = below(loaded)
    small = [row["ours"] for c in loaded.values() for row in c["masked_labels"] if row["object"] == SMALL]
    out = [
        ["all sets pooled, against the best peer", "+10 points", f"{100 * gap:+.1f} points", gap >= 0.1],
        ["ranked sets below the best peer by more than the interval", "none", ", ".join(worse) or "none", not worse],
        ["chosen pose behind any refined pose, all sets", "3 points", f"{100 * lag:.1f} points", lag <= 0.03],
        *(_against_best(name, loaded[name]["figures"]) for name in HARD if name in loaded),
    ]
    if small:
        share = results.share([hit(row) for row in small])
        out.append([f"{SMALL}, {len(small)} labels", "80 %", _percent(share), share >= 0.8])
    accepted = f["ours_wrong_name_accepted"]
    out.append(["wrong names accepted, all sets", "at most 3 %", f"{100 * accepted:.1f} %", accepted <= 0.03])
    return [[*cells[:3], "met" if cells[3] else "missed"] for cells in out]


def page(loaded: Mapping[str, Content], clusters: Mapping[str, Content]) -> str:
    """docs/results.md."""
    high = {name: loaded[name]["figures"] for name in ranked(loaded)}
    low = {name: content["figures"] for name, content in loaded.items() if name not in high}
    missing = [name for name in SETS if name not in loaded]
    significant, without_interval = below(loaded)
    text = [
        "# Comparison with other methods, set by set",
        "",
        "Written by `python -m benchmarks.table` from `benchmarks/results/set_*.json`.",
        'How the other methods ("peers") are run: [benchmarks/README.md](../benchmarks/README.md).',
        "",
        "- All methods get the same masks, points and refinement, on one thread. No object is trained.",
        "- Recall: share of labels with MSSD below 10 % of the diameter, up to what depth cannot tell (`mssd_depth`).",
        "- First pose: the one that a method ranks first, before any refinement.",
        "- Time: processor time a label, median and 99th percentile.",
        "- Difference: our recall minus that of the best peer, in percentage points.",
        "- Intervals: 95 %, bootstrap over placements, paired for differences. Fewer than {fewest} placements give none.",
        "- Neighbouring frames of a scene show one placement. `ycbv_demo` shows the placements of `ycbv` again.",
        "",
        "![Accuracy against time](accuracy_time.png)",
        "",
        "## What ours shall reach",
        *(lines(("bar", "wanted", "measured", "verdict"), bars(loaded)) if bars(loaded) else ["Not run yet."]),
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
        f"Not run yet: {', '.join(missing) or 'none'}.",
        "",
        "## No masks: the same clusters for all methods",
        "The answer of a method is its pose with the highest score by our pipeline.",
        *_clusters({name: content["figures"] for name, content in clusters.items()}),
        "",
        "## Recall by object",
        *lines(("set", "object", "labels", *titles(of_sets(loaded, list(loaded))).values()), _by_object(loaded)),
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
    rows = [r for name in names for r in loaded[name]["masked_labels"]]
    methods = methods_of(rows)
    colours = {**dict(zip([m for m in methods if m not in TITLES], _MORE_COLOURS)), **COLOURS}
    for method in methods:
        for name in names:
            f = loaded[name]["figures"]
            size = 12.0 + f["labels"]
            axes.scatter(
                f[f"{method}_ms_p50"] or np.nan,
                100 * f[f"{method}_mssd_depth"],
                s=size,
                color=colours[method],
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
            color=colours[method],
            label=TITLES.get(method, method),
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
    results.write_text(DOCS / "results.md", page(loaded, load_clusters()))
    draw(loaded, DOCS / "accuracy_time.png")
    print(f"written: {DOCS / 'results.md'}, {DOCS / 'accuracy_time.png'}")


def _tables(figures: Mapping[str, Figures]) -> list[str]:
    """All tables of these sets. figures: name -> figures of a set."""
    columns = titles(next(iter(figures.values())))

    def table(title: str, first: Sequence[str], cells: Callable[[Figures], Sequence[str]]) -> list[str]:
        return ["", title, "", *lines(("set", *first), [[name, *cells(f)] for name, f in figures.items()])]

    def every(cell: Callable[[Figures, str], str]) -> Callable[[Figures], list[str]]:
        return lambda f: [cell(f, method) for method in columns]

    heads = list(columns.values())
    out = table(
        "Recall, with its interval:",
        ("labels", "placements", *heads),
        lambda f: [str(f["labels"]), str(f["placements"]), *every(_recall)(f)],
    )
    if "ours" in columns:
        out += table("Difference:", ("best peer", "difference", "lower bound", "upper bound"), _difference)
    out += table("First pose, before refinement:", heads, every(lambda f, m: _percent(f[f"{m}_first"])))
    out += table("Any pose right after refinement:", heads, every(lambda f, m: _percent(f[f"{m}_refined"])))
    out += table("Strict MSSD, up to declared symmetries alone:", heads, every(lambda f, m: _percent(f[f"{m}_mssd"])))
    out += table("ADD(-S):", heads, every(lambda f, m: _percent(f[f"{m}_add_s"])))
    for method, title in columns.items():
        if method not in PEERS:
            head = (
                "first pose",
                "any proposed",
                "any refined",
                "chosen",
                "accepted",
                *(s.replace("_", " ") for s in LOST),
            )
            out += table(
                f"Stage by stage, {title}, and where labels were lost:", head, lambda f, m=method: _stages(f, m)
            )
            head = ("offers", "accepted", "lower bound", "upper bound", "AUC")
            out += table(f"Masks under another object's name, {title}:", head, lambda f, m=method: _names(f, m))
    out += table("Time:", heads, every(_ms))
    missing = [
        [name, title, outcome.replace("_", " "), str(f[f"{method}_{outcome}"])]
        for name, f in figures.items()
        for method, title in columns.items()
        for outcome in OUTCOMES
        if f[f"{method}_{outcome}"]
    ]
    if missing:
        out += ["", "Missing answers, counted as misses:", "", *lines(("set", "method", "outcome", "labels"), missing)]
    return out


def _against_best(name: str, figures: Figures) -> list[Any]:
    peer = best_peer(figures)
    ours, theirs = figures["ours_mssd_depth"], figures[f"{peer}_mssd_depth"]
    return [f"{name}, against the best peer ({TITLES[peer]})", _percent(theirs), _percent(ours), ours >= theirs]


def _clusters(figures: Mapping[str, Figures]) -> list[str]:
    if not figures:
        return ["", "Not run yet."]
    recall = [[n, str(f["labels"]), *(_percent(f[f"{m}_mssd_depth"]) for m in TITLES)] for n, f in figures.items()]
    time = [[n, *(f"{f[f'{m}_ms_p50']:.0f} ms" for m in TITLES)] for n, f in figures.items()]
    head = ("set", "best peer", "difference", "lower bound", "upper bound")
    return [
        *("", "Recall:", "", *lines(("set", "labels", *TITLES.values()), recall)),
        *("", "Median time:", "", *lines(("set", *TITLES.values()), time)),
        *("", "Difference:", "", *lines(head, [[name, *_difference(f)] for name, f in figures.items()])),
    ]


def _percent(value: float | None) -> str:
    return f"{100 * value:.0f} %" if _known(value) else "none"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _recall(figures: Figures, method: str) -> str:
    """Recall, and its interval in brackets where there is one."""
    key = f"{method}_mssd_depth"
    low, high = figures[f"{key}_low"], figures[f"{key}_high"]
    return _percent(figures[key]) + (f" ({100 * low:.0f} to {100 * high:.0f})" if _known(low) else "")


def _ms(figures: Figures, method: str) -> str:
    half, most = figures[f"{method}_ms_p50"], figures[f"{method}_ms_p99"]
    return f"{half:.0f} / {most:.0f} ms" if _known(half) else "never asked"


def _stages(figures: Figures, method: str) -> list[str]:
    shares = ("first", "proposed", "refined", "chosen", "mssd_depth")
    return [
        *(_percent(figures[f"{method}_{key}"]) for key in shares),
        *(str(figures[f"{method}_lost_{stage}"]) for stage in LOST),
    ]


def _names(figures: Figures, method: str) -> list[str]:
    key = f"{method}_wrong_name"
    auc = figures[f"{key}_auc"]
    bounds = (figures[f"{key}_accepted"], figures[f"{key}_accepted_low"], figures[f"{key}_accepted_high"])
    return [str(figures[f"{key}s"]), *map(_percent, bounds), f"{auc:.2f}" if _known(auc) else "none"]


def _difference(figures: Figures) -> list[str]:
    """[best peer, difference, lower bound, upper bound]."""
    peer = best_peer(figures)
    key = f"ours_minus_{peer}"
    bounds = (figures[f"{key}_low"], figures[f"{key}_high"])
    return [
        TITLES[peer],
        f"{100 * figures[key]:+.0f}",
        *(f"{100 * b:+.0f}" if _known(b) else "none" for b in bounds),
    ]


def _place(row: Any) -> str:
    first, slash, rest = str(row["placement"]).partition("/")
    return SAME_SCENES.get(first, first) + slash + rest


def _by_object(loaded: Mapping[str, Content]) -> list[list[str]]:
    out = []
    for name, content in loaded.items():
        figures = content["figures"]
        for key, count in figures.items():
            if key.startswith("labels_"):
                thing = key.removeprefix("labels_")
                recalls = [_percent(figures[f"{m}_mssd_depth_{thing}"]) for m in titles(figures)]
                out.append([name, thing, str(count), *recalls])
    return out


if __name__ == "__main__":
    main()
