"""Ours beside every peer, on every set: docs/results.md and docs/accuracy_time.png, from ``results/set_*.json`` alone.

    python -m benchmarks.table

Sets with ``RANKED`` labels or more are ranked and pooled, the others listed; whatever was left out is named, with its labels
and the reason, and no cell is empty without one.
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
from pose_node.evaluation.figures.intervals import FEWEST, mean_interval
from pose_node.evaluation.figures.paired import mean_difference

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
    """Set -> its result file; sets that have not been run are not there."""
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


def row(title: str, figures: Mapping[str, Any], prefix: str = "", missing: int = 0) -> list[str]:
    """One line of the table. missing: labels that were left out."""
    count = f"{figures[f'{prefix}labels']} ({figures[f'{prefix}placements']})" + (
        f"; {missing} left out" if missing else ""
    )
    return [title, count, *(_cell(figures, f"{prefix}{m}") for m in TITLES), _difference(figures, prefix)]


def left_out(loaded: Mapping[str, Content]) -> list[list[str]]:
    """[set, object, labels, reason] of all labels that no method was asked for."""
    reasons = {"left_out_": "no network", "other_object_": "the network of that name is of another size"}
    return [
        [name, key.removeprefix(prefix), str(count), reason]
        for name, content in loaded.items()
        for prefix, reason in reasons.items()
        for key, count in content["figures"].items()
        if key.startswith(prefix)
    ]


def missing(loaded: Mapping[str, Content], names: Sequence[str]) -> int:
    """How many labels of these sets were left out."""
    return sum(int(count) for name, _, count, _ in left_out(loaded) if name in names)


def below(loaded: Mapping[str, Content]) -> tuple[list[str], list[str]]:
    """Ranked sets on which ours is below the best peer by more than the interval; those where it is below, and none is known."""
    surely, perhaps = [], []
    for name in ranked(loaded):
        figures = loaded[name]["figures"]
        key = f"ours_minus_{best_peer(figures)}"
        if figures[key] < 0.0:
            if figures[f"{key}_high"] is None:
                perhaps.append(name)
            elif figures[f"{key}_high"] < 0.0:
                surely.append(name)
    return surely, perhaps


def page(loaded: Mapping[str, Content]) -> str:
    """docs/results.md."""
    head = ["set", "labels (placements)", *TITLES.values(), "ours minus the best peer"]
    high = ranked(loaded)
    low = [name for name in SETS if name not in high]
    surely, perhaps = below(loaded)
    lines = [
        "# Ours beside the peers, set by set",
        "",
        "Made by `python -m benchmarks.table` from `benchmarks/results/set_*.json`; what is measured, and how the peers are run:",
        "[benchmarks/README.md](../benchmarks/README.md). A cell: labels within 10 % of the diameter (`mssd_depth`), median "
        "milliseconds of the",
        "processor on one thread. All methods get the same masks, points and refinement. The interval is a paired bootstrap over "
        "placements, 95 %;",
        "frames of one scene that are neighbours show one placement, and `ycbv_demo` shows those of `ycbv` again.",
        "",
        "![Accuracy against time](accuracy_time.png)",
        "",
        f"## Ranked: {RANKED} labels or more",
        *_table(head, [_line(name, loaded, len(head)) for name in high] + _pooled_row("all ranked", loaded, high)),
        "",
        f"Ours is below the best peer by more than the interval on: {', '.join(surely) or 'none'}."
        + (f" Below, with too few placements for an interval: {', '.join(perhaps)}." if perhaps else ""),
        "",
        f"## Listed, not ranked: fewer than {RANKED} labels",
        *_table(head, [_line(name, loaded, len(head)) for name in low]),
        "",
        "## All labels of all sets",
        *_table(head, _pooled_row("all", loaded, list(loaded))),
        "",
        "## No masks: the frame's clusters, the same for all",
        "Of a method's poses the one that our judge scores best is its answer.",
        *_without_masks(head, loaded),
        "",
        "## Left out",
        "Labels that no method was asked for; no figure above holds them.",
        *_table(["set", "object", "labels", "why"], left_out(loaded)),
        "",
        "## Object by object",
        *_table(["set", "object", "labels", *TITLES.values()], _by_object(loaded)),
    ]
    return "\n".join(lines) + "\n"


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
        middle, ms = hits.mean(), median_ms([r[method] for r in rows])
        reach = np.nan_to_num([[middle - low], [high - middle]])
        axes.errorbar(
            ms,
            100 * middle,
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


def _cell(figures: Mapping[str, Any], key: str) -> str:
    ms = figures[f"{key}_ms_p50"]
    time = "never asked" if ms is None or not np.isfinite(ms) else f"{ms:.0f} ms"
    text = f"{100 * figures[f'{key}_mssd_depth']:.0f} % ({time})"
    notes = [f"{figures[f'{key}_{o}']} {words}" for o, words in OUTCOMES.items() if figures[f"{key}_{o}"]]
    return "; ".join([text, *notes])


def _difference(figures: Mapping[str, Any], prefix: str) -> str:
    peer = best_peer(figures, prefix)
    key = f"{prefix}ours_minus_{peer}"
    text = f"{100 * figures[key]:+.0f} ({TITLES[peer]}"
    low, high = figures[f"{key}_low"], figures[f"{key}_high"]
    if low is None or not np.isfinite(low):
        return f"{text}; no interval: fewer than {FEWEST} placements)"
    return f"{text}; {100 * low:+.0f} to {100 * high:+.0f})"


def _pooled_row(title: str, loaded: Mapping[str, Content], names: Sequence[str]) -> list[list[str]]:
    if not names:
        return []
    return [[f"**{cell}**" for cell in row(title, of_sets(loaded, names), missing=missing(loaded, names))]]


def _place(row: Any) -> str:
    first, slash, rest = str(row["placement"]).partition("/")
    return SAME_SCENES.get(first, first) + slash + rest


def _line(name: str, loaded: Mapping[str, Content], width: int) -> list[str]:
    if name in loaded and labels(loaded[name]):
        return row(name, loaded[name]["figures"], missing=missing(loaded, [name]))
    if name in loaded:
        return [name, "0", *[f"no network for its {loaded[name]['figures']['set_labels']} labels"] * (width - 2)]
    return [name, "0", *["not run yet"] * (width - 2)]


def _without_masks(head: Sequence[str], loaded: Mapping[str, Content]) -> list[str]:
    lines = [
        row(n, c["figures"], KINDS["clusters"], missing(loaded, [n]))
        for n, c in loaded.items()
        if labels(c, "clusters")
    ]
    return _table(head, lines) if lines else ["", "Not run yet."]


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


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]]


if __name__ == "__main__":
    main()
