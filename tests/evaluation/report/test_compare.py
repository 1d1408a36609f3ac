"""Two runs side by side: what is paired, what the interval says, and what cannot be compared."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from page_checking import page_of
from run_writing import write_labelled, write_unlabelled

from pose_node import cli
from pose_node.errors import InputError
from pose_node.evaluation.figures.paired_differences import (
    consistency_differences,
    label_differences,
    mean_difference,
    pair,
)
from pose_node.evaluation.report.compare import compare, write_comparison
from pose_node.evaluation.report.terminal import print_comparison
from pose_node.evaluation.run_folder import read_run


def differences(a, b):
    a, b = read_run(a), read_run(b)
    return label_differences(a, b, pair(a, b))


def page_of_both(a, b):
    return page_of(write_comparison(compare(a, b)))


@pytest.mark.usefixtures("blank_charts")
def test_a_run_and_itself_differ_in_nothing(tmp_path):
    run = write_labelled(tmp_path / "run")
    for d in differences(run, run).values():
        assert (d.b - d.a, d.low, d.high) == (0.0, 0.0, 0.0)
    assert "no difference shown" in page_of_both(run, run).texts


@pytest.mark.usefixtures("blank_charts")
def test_a_comparison_that_fails_leaves_no_older_one(tmp_path):
    a, b = write_labelled(tmp_path / "a"), write_labelled(tmp_path / "b")
    write_comparison(compare(a, b))
    with pytest.raises(InputError):
        compare(tmp_path / "none", b)
    assert not (b / "compare.html").exists() and (b / "previous_run" / "compare.html").is_file()
    assert read_run(b).labels


def test_differences_are_those_of_the_summaries(tmp_path):
    a, b = write_labelled(tmp_path / "a", spoilt=0.05), write_labelled(tmp_path / "b", spoilt=0.5)
    found = differences(a, b)
    for side, run in (("a", a), ("b", b)):
        figures = json.loads((run / "summary.json").read_text())["all"]["figures"]
        for key in ("ar", "recall_mssd_10", "auc_add_s", "answered"):
            assert getattr(found[key], side) == pytest.approx(figures[key]["value"])
    assert found["ar"].high < 0.0
    texts = page_of_both(a, b).texts
    assert "B is worse" in texts and "B is better" in page_of_both(b, a).texts


def test_pairs_are_narrower_than_runs(rng):
    hard = rng.normal(size=40)
    d = mean_difference(hard, hard + 0.1 + 0.01 * rng.normal(size=40), range(40))
    assert 0.09 < d.low < d.high < 0.11


@pytest.mark.usefixtures("blank_charts")
def test_what_only_one_run_has_is_left_out_with_a_note(tmp_path):
    a, b = write_labelled(tmp_path / "a"), write_labelled(tmp_path / "b")
    lines = (b / "labels.jsonl").read_text().splitlines(keepends=True)
    (b / "labels.jsonl").write_text("".join(lines[4:]))
    words = " ".join(page_of_both(a, b).texts)
    assert "4 labels that only one of the runs has are left out." in words


@pytest.mark.usefixtures("blank_charts")
def test_settings_that_differ_are_listed(tmp_path):
    a = write_labelled(tmp_path / "a")
    b = write_labelled(tmp_path / "b", config={"refine": {"iterations": 20}})
    texts = page_of_both(a, b).texts
    assert "refine.iterations" in texts and "10" in texts and "20" in texts


@pytest.mark.usefixtures("blank_charts")
def test_runs_without_labels(tmp_path):
    a, b = write_unlabelled(tmp_path / "a"), write_unlabelled(tmp_path / "b", seed=1)
    texts = page_of_both(a, b).texts
    assert "Figures of mug" in texts and "B minus A" in texts and "Each run by itself" in texts


def test_spread_and_jitter_have_paired_intervals(tmp_path):
    a, b = (read_run(write_unlabelled(tmp_path / name, seed=seed)) for name, seed in (("a", 0), ("b", 1)))
    found = consistency_differences(a, b, pair(a, b), "mug")
    for key in ("found", "score", "spread_mm", "spread_deg", "jitter_mm", "jitter_deg"):
        assert found[key].low <= found[key].b - found[key].a <= found[key].high
    same = consistency_differences(a, a, pair(a, a), "mug")
    figures = a.summary["objects"]["mug"]["figures"]
    for key in ("found", "spread_mm", "jitter_deg", "lost"):
        assert same[key].a == same[key].b == pytest.approx(figures[key]["value"])
        assert same[key].low == same[key].high == 0.0


def test_other_ground_truth_is_refused(tmp_path):
    a, b = write_labelled(tmp_path / "a"), write_labelled(tmp_path / "b")
    lines = [json.loads(line) for line in (b / "labels.jsonl").read_text().splitlines()]
    lines[3]["T_camera_object"][3] += 0.01
    (b / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match="two poses for the label"):
        compare(a, b)


def printed(capsys, *runs):
    print_comparison(compare(*runs))
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_the_terminal_shows_what_the_page_shows(tmp_path, capsys):
    lines = printed(capsys, write_unlabelled(tmp_path / "a"), write_unlabelled(tmp_path / "b", seed=1))
    for name in ("Figures of bowl", "Figures of mug", "Time and refusals", "jitter, mm", "found, %", "infer, ms"):
        assert any(line.startswith(name) for line in lines)
    few = printed(capsys, write_labelled(tmp_path / "c", scenes=1), write_labelled(tmp_path / "d", scenes=1, seed=1))
    assert any("[–]" in line and "too few to tell" in line for line in few)
    assert few[-1].startswith("[–]: no interval: ")


def test_runs_that_do_not_belong_together_are_refused(tmp_path):
    a = write_labelled(tmp_path / "a")
    with pytest.raises(InputError, match=r"labels in .*a only"):
        compare(a, write_unlabelled(tmp_path / "b"))
    with pytest.raises(InputError, match="models of the set and of the card"):
        compare(a, write_labelled(tmp_path / "c", reference="card"))
    with pytest.raises(InputError, match="no label that"):
        compare(a, write_labelled(tmp_path / "d", objects=("banana",)))
    with pytest.raises(InputError, match="no frame that"):
        compare(write_unlabelled(tmp_path / "e"), write_unlabelled(tmp_path / "f", frames=0))


@pytest.mark.usefixtures("blank_charts")
def test_the_command(tmp_path, capsys):
    a, b = write_labelled(tmp_path / "a"), write_labelled(tmp_path / "b", seed=2)
    assert cli.main(["evaluate", "--compare", str(a), str(b)]) == 0
    output = capsys.readouterr().out
    assert str(b / "compare.html") in output
    assert re.search(r"^AR, % +[\d.]+ +[\d.]+ +[+-][\d.]+ +\[[+-][\d.]+, [+-][\d.]+\] +40  ", output, re.MULTILINE)
    assert max(map(len, output.splitlines()[:-1])) <= 120
    assert cli.main(["evaluate", "--compare", str(a), str(tmp_path / "none")]) == 2
    assert "found no run.json" in capsys.readouterr().err
    assert np.isfinite(differences(a, b)["ar"].low)
