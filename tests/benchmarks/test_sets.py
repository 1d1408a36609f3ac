"""Figures of sets and the table made of them, from made-up answers: who is ranked, where labels were lost, no empty cell."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("psutil")
from benchmarks import clusters, methods, results, set_figures, table
from benchmarks.peers import kept
from benchmarks.peers.worker import Answer
from pose_node.geometry import se3
from pose_node.types import Result

NONE = dict.fromkeys((*methods.ERRORS, *methods.STAGES))
HIT = {
    "mssd_depth": 0.02,
    "mssd": 0.02,
    "add_s": 0.01,
    "translation_mm": 1.0,
    "rotation_deg": 2.0,
    **dict.fromkeys(methods.STAGES, 0.03),
}


def answer(found: bool, ms: float | None, outcome: str = "answered") -> dict[str, Any]:
    return {"outcome": outcome, **(HIT if found else NONE), "ms": ms}


def ours(found: bool, **others: float | None) -> dict[str, Any]:
    values = {"score": 0.9 if found else 0.2, "chosen": 0.02 if found else 0.8, "others": others}
    return {**answer(found, 100.0), **values}


def label(i: int, placement: int, **found: bool) -> dict[str, Any]:
    """A row: every peer misses but those named; ours hits unless named false."""
    row: dict[str, Any] = {"key": f"set/{i}", "object": "mug", "placement": f"place{placement}"}
    row["ours"] = ours(found.get("ours", True), bowl=0.1)
    for k, peer in enumerate(table.PEERS):
        row[peer] = answer(found.get(peer, False), 200.0 + k)
    return row


def result(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"figures": set_figures.figures_of(rows, 0.5), "masked_labels": rows}


@pytest.fixture
def loaded() -> dict[str, Any]:
    made = {
        "ycbv": result([label(i, i // 2, ppf=i < 6) for i in range(12)]),
        "icbin": result([label(i, i, ours=i < 2, kiss=True) for i in range(10)]),
        "apc_shelf": result([label(i, 0, ours=i < 5, ransac=True) for i in range(10)]),
        "ycbv_pseudo": result([label(i, i) for i in range(3)]),
    }
    return json.loads(json.dumps(made).replace("NaN", "null"))


def test_figures_count_hits_and_pair_methods() -> None:
    rows = [label(i, i, ours=i > 0, ppf=i < 2) for i in range(4)]
    rows[3]["ransac"]["outcome"] = "timed_out"
    figures = set_figures.figures_of(rows, 0.5)
    assert figures["labels"] == figures["placements"] == figures["labels_mug"] == 4
    assert figures["ours_mssd_depth"] == figures["ours_mssd_depth_mug"] == 0.75 and figures["ppf_mssd_depth"] == 0.5
    assert figures["ours_mssd_depth_low"] <= 0.75 <= figures["ours_mssd_depth_high"]
    assert figures["ours_first"] == figures["ours_refined"] == figures["ours_chosen"] == 0.75
    assert figures["ours_minus_ppf"] == figures["ours_first_minus_ppf"] == 0.25
    assert figures["ours_minus_ppf_low"] <= 0.25 <= figures["ours_minus_ppf_high"]
    assert figures["ours_answered"] == 0.75 and figures["ransac_timed_out"] == 1
    assert figures["ours_rotation_deg"] == 2.0 and figures["ours_ms_p99"] == 100.0


def test_a_lost_label_has_the_stage_that_lost_it() -> None:
    far, near = {"first": 0.9, "proposed": 0.9, "refined": 0.9, "chosen": 0.9}, 0.05
    rows = [
        {**NONE, **far},
        {**NONE, **far, "proposed": near},
        {**NONE, **far, "refined": near},
        {**NONE, **far, "refined": near, "chosen": near},
        {**HIT, "chosen": near},
        {**NONE, "chosen": None},
    ]
    assert [set_figures.lost_at(row) for row in rows] == [*set_figures.LOST, None, "not_proposed"]


def test_wrong_names_are_counted_over_offers() -> None:
    rows = [label(i, i) for i in range(4)]
    rows[0]["ours"]["others"] = {"bowl": 0.7, "banana": None}
    figures = set_figures.figures_of(rows, 0.5)
    assert figures["ours_wrong_names"] == 5 and figures["ours_wrong_name_accepted"] == pytest.approx(0.2)
    assert figures["ours_wrong_name_auc"] == 1.0
    assert set_figures.scores(rows) == [(0.9, True)] * 4
    assert set_figures.auc([1.0, 2.0], [1.0]) == 0.75 and math.isnan(set_figures.auc([], [1.0]))


def test_methods_are_those_with_a_row_for_every_label() -> None:
    rows = [{**label(i, i), "finetuned": ours(i > 0)} for i in range(4)]
    assert set_figures.methods_of(rows) == ["ours", *table.PEERS, "finetuned"]
    figures = set_figures.figures_of(rows, 0.5)
    assert figures["finetuned_mssd_depth"] == 0.75 and figures["finetuned_lost_not_proposed"] == 1
    del rows[0]["ppf"]
    assert "ppf" not in set_figures.methods_of(rows)


def test_an_answer_of_ours_is_an_estimate_from_the_threshold_on() -> None:
    T = np.eye(4)
    vertices = np.array([[0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1], [0, 0, 0]])
    model = SimpleNamespace(
        hull_m=vertices,
        vertices_m=vertices,
        diameter_m=0.15,
        symmetries=T[None],
        symmetries_depth=T[None],
        symmetry_depth=None,
        declared_symmetric=False,
        centre_m=np.zeros(3),
    )
    crop: Any = SimpleNamespace(model=model, T_label=T)
    found: Any = SimpleNamespace(score=0.4, T_camera_object=T)
    row = methods.our_row(crop, Result((found,), ()), 12.0, min_score=0.5)
    assert row["outcome"] == "refused" and row["mssd_depth"] is None and row["chosen"] == 0.0 and row["score"] == 0.4
    assert set_figures.lost_at(row) == "refused" and row["proposed"] is None and row["refined"] == 0.0
    nothing = methods.our_row(crop, Result((), ()), 12.0, min_score=0.5)
    assert nothing["score"] is None and nothing["chosen"] is None and nothing["why"] == "silent"


def test_the_better_variant_hits_more_and_of_equals_is_faster() -> None:
    first, best = answer(False, 10.0), answer(True, 50.0)
    assert methods.better_variant([{"first_pose": first, "best_fit": best}]) == "best_fit"
    assert methods.better_variant([{"first_pose": answer(True, 10.0), "best_fit": best}]) == "first_pose"
    asked = {"outcome": "answered", "first": 0.5, "first_pose": first, "best_fit": {"mssd_depth": 0.01, "ms": 50.0}}
    row = {**label(0, 0), **{peer: asked | {"best_fit": best} for peer in table.PEERS}}
    chosen, variants = set_figures.with_better_variant([row], table.PEERS)
    assert set(variants.values()) == {"best_fit"} and chosen[0]["ppf"] == {**best, "outcome": "answered"}


def test_few_labels_are_listed_and_not_ranked(loaded: dict[str, Any]) -> None:
    assert table.ranked(loaded) == ["ycbv", "icbin", "apc_shelf"]
    ranks, rest = table.page(loaded, {}).split("## Sets with fewer")
    assert "| ycbv |" in ranks and "| ycbv_pseudo |" not in ranks and "| ycbv_pseudo | 3 | 3 |" in rest
    assert "| ycbv | 12 | 6 |" in ranks and "| **all ranked** | 32 | 10 |" in ranks
    assert "| **all sets** | 35 | 10 |" in rest and "Not run yet: ycbv_demo" in rest


def test_below_by_more_than_the_interval_is_told_from_unknown(loaded: dict[str, Any]) -> None:
    assert table.below(loaded) == (["icbin"], ["apc_shelf"])
    assert table.best_peer(loaded["icbin"]["figures"]) == "kiss"
    assert "| apc_shelf | FPFH+RANSAC | -50 | none | none |" in table.page(loaded, {})


def test_bars_say_what_is_met(loaded: dict[str, Any]) -> None:
    found = {bar: (measured, verdict) for bar, _, measured, verdict in table.bars(loaded)}
    assert found["all sets pooled, against the best peer"][1] == "met"
    assert found["ranked sets below the best peer by more than the interval"] == ("icbin", "missed")
    assert found["apc_shelf, against the best peer (FPFH+RANSAC)"] == ("50 %", "missed")
    assert found["wrong names accepted, all sets"] == ("0.0 %", "met") and len(found) == 5
    for content in loaded.values():
        for row in content["masked_labels"]:
            del row["ours"]
    assert table.bars(loaded) == []


def test_pooled_is_over_labels_and_not_over_sets(loaded: dict[str, Any]) -> None:
    figures = table.of_sets(loaded, table.ranked(loaded))
    assert figures["labels"] == 32
    assert figures["placements"] == 10  # the made-up sets name theirs alike
    assert figures["ours_mssd_depth"] == pytest.approx((12 + 2 + 5) / 32)


def test_every_cell_says_something(loaded: dict[str, Any]) -> None:
    rows = [label(i, i) for i in range(10)]
    for row in rows:
        row["ppf"] = answer(False, None, "untrained")
        row["ours"]["others"] = {}
    loaded["visp_cube"] = json.loads(json.dumps(result(rows)).replace("NaN", "null"))
    text = table.page(loaded, {})
    for line in text.splitlines():
        if line.startswith("|"):
            assert all(cell.strip() for cell in line.strip("|").split("|")), line
    assert "| visp_cube | PPF | untrained | 10 |" in text and "never asked" in text


def test_the_committed_page_is_that_of_the_results() -> None:
    assert (table.DOCS / "results.md").read_text() == table.page(table.load(), table.load_clusters())


def test_the_picture_is_drawn(loaded: dict[str, Any], tmp_path: Path) -> None:
    table.draw(loaded, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000


def test_rows_are_kept_beside_figures(tmp_path: Path) -> None:
    rows = [label(0, 0), label(1, 1)]
    more = {"masked_labels": rows, "settings": {}}
    path = results.write_result("set_icbin", "command", {"labels": 2}, tmp_path, more)
    assert json.loads(path.read_text())["masked_labels"] == rows
    assert list(table.load(tmp_path)) == ["icbin"]


def test_times_without_masks_are_of_one_run_alone() -> None:
    rows = [{**label(i, i), "run": run} for i, run in enumerate((1, 2, 2))]
    rows[0]["ours"]["ms"] = 9000.0
    figures = clusters.figures_of(clusters.timed_in_one_run(rows))
    assert figures["ours_mssd_depth"] == 1.0
    assert figures["timed_labels"] == 2 and figures["ours_ms_p50"] == 100.0


def test_kept_answers_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    monkeypatch.setattr(
        kept, "chosen", lambda: {"ppf": "step7", "ransac": "fine", "fgr": "fine", "kiss": "whole_voxel15"}
    )
    T = se3.transform(se3.exp_so3(np.array([0.3, -1.0, 2.0])), np.array([0.1, 0.2, 0.7]))
    stored = {
        peer: {"version": kept.version(peer, setting), **kept._plain(given)}
        for peer, setting, given in (
            ("ppf", "step7", Answer([T, T], 1.5, "answered")),
            ("ransac", "fine", Answer([], float("nan"), "untrained", "too large")),
        )
    }
    kept.write("icbin", {"icbin/1": {**stored, "kiss": {**stored["ppf"], "version": "of another setting"}}})
    found = kept.load("icbin")["icbin/1"]
    assert set(found) == {"ppf", "ransac"} and found["ppf"].seconds == 1.5
    np.testing.assert_allclose(found["ppf"].poses[1], T, atol=1e-5)
    assert found["ransac"].outcome == "untrained" and found["ransac"].why == "too large"
    assert kept.load("lmo") == {}
