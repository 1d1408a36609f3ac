"""Has the recall on rendered views fallen, of any object, by more than its interval?

    python -m benchmarks.rendered_change                   results/rendered.json against rendered_own_networks.json
    python -m benchmarks.rendered_change BEFORE AFTER      any two results of ``benchmarks.rendered``

``rendered_own_networks.json`` is the last result with a network for each object, which was trained on it. Views with the same seed are
the same view, so differences are paired (bootstrap over views) where both results keep their hits; otherwise the two shares are
taken as independent. The exit status is 1 when a figure has fallen.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from pose_node.evaluation.figures.intervals import share_difference_interval
from pose_node.evaluation.figures.paired_differences import mean_difference


@dataclass(frozen=True)
class Change:
    """The recall of one object in two results; the difference lies in [``low``, ``high``]."""

    what: str
    before: float
    after: float
    low: float
    high: float

    @property
    def fallen(self) -> bool:
        return self.high < 0.0


def changes(
    before: Mapping[str, float],
    after: Mapping[str, float],
    hits_before: Mapping[str, str],
    hits_after: Mapping[str, str],
) -> list[Change]:
    """One for each recall that both results have, ``before`` and ``after`` being their figures."""
    found = []
    for key in before:
        what = key.removesuffix("_recall")
        if what == key or f"{what}_views" not in before or key not in after:
            continue
        if what in hits_before and what in hits_after:
            a, b = ([int(hit) for hit in hits[what]] for hits in (hits_before, hits_after))
            shared = min(len(a), len(b))
            paired = mean_difference(np.array(a[:shared]), np.array(b[:shared]), range(shared))
            found.append(Change(what, paired.a, paired.b, paired.low, paired.high))
        else:
            counts = int(before[f"{what}_views"]), int(after[f"{what}_views"])
            low, high = share_difference_interval(before[key], counts[0], after[key], counts[1])
            found.append(Change(what, before[key], after[key], low, high))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", nargs="?", type=Path, default=results.FOLDER / "rendered_own_networks.json")
    parser.add_argument("after", nargs="?", type=Path, default=results.FOLDER / "rendered.json")
    options = parser.parse_args(arguments)
    before, after = (_load(path) for path in (options.before, options.after))
    found = changes(before["figures"], after["figures"], before.get("hits", {}), after.get("hits", {}))
    for change in found:
        interval = f"{100 * change.low:+.1f} to {100 * change.high:+.1f}"
        verdict = "FALLEN" if change.fallen else ""
        print(
            f"{change.what:18} {100 * change.before:6.1f} % {100 * change.after:6.1f} %   {interval:15} points {verdict}"
        )
    return int(any(change.fallen for change in found))


def _load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


if __name__ == "__main__":
    raise SystemExit(main())
