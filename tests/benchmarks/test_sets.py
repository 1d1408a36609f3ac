"""Figures of sets and the table made of them, from made-up answers: who is ranked, who is left out, no cell without a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")
from benchmarks import methods, results, sets, table

MISS = {"mssd_depth": None, "mssd": None, "add_s": None, "translation_mm": None, "rotation_deg": None}
HIT = {"mssd_depth": 0.02, "mssd": 0.02, "add_s": 0.01, "translation_mm": 1.0, "rotation_deg": 2.0}


def answer(found: bool, ms: float | None, outcome: str = "answered") -> dict[str, Any]:
    return {"outcome": outcome, **(HIT if found else MISS), "ms": ms}


def label(i: int, placement: int, run: int = 1, **found: bool) -> dict[str, Any]:
    """A row: every peer misses but those named; ours hits unless named false."""
    row: dict[str, Any] = {"key": f"set/{i}", "object": "mug", "placement": f"place{placement}", "run": run}
    row["ours"] = answer(found.get("ours", True), 100.0)
    for k, peer in enumerate(table.PEERS):
        row[peer] = answer(found.get(peer, False), 200.0 + k)
    return row


def result(rows: list[dict[str, Any]], **left: int) -> dict[str, Any]:
    figures = {f"left_out_{name}": count for name, count in left.items()}
    figures["set_labels"] = len(rows) + sum(left.values())
    if rows:
        figures.update(sets.figures_of(rows))
    return {"figures": figures, "masked_labels": rows}


@pytest.fixture
def loaded() -> dict[str, Any]:
    winning = [label(i, i // 2, ppf=i < 6) for i in range(12)]
    losing = [label(i, i, ours=i < 2, kiss=True) for i in range(10)]
    alone = [label(i, 0, ours=i < 5, ransac=True) for i in range(10)]
    few = [label(i, i) for i in range(3)]
    made = {
        "ycbv": result(winning, sugar_box=3),
        "icbin": result(losing),
        "apc_shelf": result(alone),
        "ycbv_pseudo": result(few),
        "lmo": result([], duck=1, can=2),
    }
    return json.loads(json.dumps(made).replace("NaN", "null"))


def test_figures_count_hits_and_pair_methods() -> None:
    rows = [label(i, i, ours=i > 0, ppf=i < 2) for i in range(4)]
    rows[3]["ransac"]["outcome"] = "timed_out"
    figures = sets.figures_of(rows)
    assert figures["labels"] == figures["placements"] == figures["labels_mug"] == 4
    assert figures["ours_mssd_depth"] == figures["ours_mssd_depth_mug"] == 0.75 and figures["ppf_mssd_depth"] == 0.5
    assert figures["ours_minus_ppf"] == 0.25
    assert figures["ours_minus_ppf_low"] <= 0.25 <= figures["ours_minus_ppf_high"]
    assert figures["ours_answered"] == 0.75 and figures["ransac_timed_out"] == 1
    assert figures["ours_rotation_deg"] == 2.0


def test_times_are_of_one_run_alone() -> None:
    rows = [label(0, 0, run=1), label(1, 1, run=2), label(2, 2, run=2)]
    rows[0]["ours"]["ms"] = 9000.0
    figures = sets.figures_of(sets.timed_in_one_run(rows), "clusters_")
    assert figures["clusters_ours_mssd_depth"] == 1.0
    assert figures["clusters_timed_labels"] == 2 and figures["clusters_ours_ms_p50"] == 100.0


def test_who_was_never_asked_has_no_time(loaded: dict[str, Any]) -> None:
    rows = [label(i, i) for i in range(4)]
    for row in rows:
        row["ppf"] = answer(False, None, "untrained")
    rows[0]["ransac"] = answer(False, None, "failed")
    figures = sets.figures_of(rows)
    assert figures["ppf_untrained"] == 4 and figures["ransac_ms_p50"] == 201.0
    loaded["icbin"] = {"figures": figures, "masked_labels": rows * 3}
    text = table.page(loaded)
    assert "| icbin | 100 ms | never asked |" in text and "| icbin | PPF | untrained | 4 |" in text


def test_the_better_variant_hits_more_and_of_equals_is_faster() -> None:
    first, best = answer(False, 10.0), answer(True, 50.0)
    assert methods.better_variant([{"first": first, "best_fit": best}]) == "best_fit"
    assert methods.better_variant([{"first": answer(True, 10.0), "best_fit": best}]) == "first"
    row = {**label(0, 0), **{peer: {"outcome": "answered", "first": first, "best_fit": best} for peer in table.PEERS}}
    chosen, variants = sets.with_better_variant([row])
    assert set(variants.values()) == {"best_fit"} and chosen[0]["ppf"] == {"outcome": "answered", **best}


def test_few_labels_are_listed_and_not_ranked(loaded: dict[str, Any]) -> None:
    assert table.ranked(loaded) == ["ycbv", "icbin", "apc_shelf"]
    text = table.page(loaded)
    ranks, rest = text.split("## Sets with fewer")
    assert "| ycbv |" in ranks and "| ycbv_pseudo |" not in ranks and "| ycbv_pseudo | 3 | 3 |" in rest
    assert (
        "| ycbv | 12 | 6 |" in ranks
        and "| **all ranked** | 32 | 10 |" in ranks
        and "| **all sets** | 35 | 10 |" in rest
    )


def test_below_by_more_than_the_interval_is_told_from_unknown(loaded: dict[str, Any]) -> None:
    assert table.below(loaded) == (["icbin"], ["apc_shelf"])
    assert table.best_peer(loaded["icbin"]["figures"]) == "kiss"
    assert "| apc_shelf | FPFH+RANSAC | -50 | none | none |" in table.page(loaded)


def test_pooled_is_over_labels_and_not_over_sets(loaded: dict[str, Any]) -> None:
    figures = table.of_sets(loaded, table.ranked(loaded))
    assert figures["labels"] == 32
    assert figures["placements"] == 10  # the made-up sets name theirs alike
    assert figures["ours_mssd_depth"] == pytest.approx((12 + 2 + 5) / 32)


def test_every_cell_says_something_and_what_is_left_out_has_its_name(loaded: dict[str, Any]) -> None:
    text = table.page(loaded)
    for line in text.splitlines():
        if line.startswith("|"):
            assert all(cell.strip() for cell in line.strip("|").split("|")), line
    assert "| ycbv | sugar_box | 3 | no network |" in text and "| lmo | can | 2 | no network |" in text
    assert "| lmo | 3 | no network |" in text and "| visp_cube | unknown | not run yet |" in text


def test_the_committed_page_is_that_of_the_results() -> None:
    assert (table.DOCS / "results.md").read_text() == table.page(table.load())


def test_the_picture_is_drawn(loaded: dict[str, Any], tmp_path: Path) -> None:
    table.draw(loaded, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000


def test_rows_are_kept_beside_figures(tmp_path: Path) -> None:
    rows = [label(0, 0), label(1, 1)]
    path = results.write_result(
        "set_icbin", "command", {"labels": 2}, tmp_path, {"masked_labels": rows, "settings": {}}
    )
    assert table.labels(json.loads(path.read_text())) == rows
    assert list(table.load(tmp_path)) == ["icbin"]
