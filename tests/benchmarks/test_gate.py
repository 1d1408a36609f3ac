"""The gate for accuracy: its arithmetic by hand, and a small part of it on what is shipped, against the stored result."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from benchmarks import gate, gate_inputs, results
from benchmarks.gate_constants import MOVED
from pose_node.config import PipelineConfig

VIEWS = 84  # of the frozen ones: seven of each object


def trial(key, part="rendered", **values):
    return {"key": key, "part": part, "placement": key, "values": values}


@pytest.fixture(scope="module")
def stored():
    return gate.load_trials(results.FOLDER / "gate.json")


def test_accuracy_has_not_fallen(stored):
    evaluator = gate.Evaluator()
    now = [
        t for q in gate.cases(("rendered", "demo", "wrong_name", "demo_whole"), 5, VIEWS) for t in evaluator.trials(q)
    ]
    found = gate.differences(stored, now)
    assert found["rendered_recall"]["pairs"] == VIEWS and found["demo_recall"]["pairs"] == 9
    assert found["demo_whole_recall"]["pairs"] == 9 and found["wrong_name_false_alarms"]["pairs"] == 9
    worse = [key for key, d in found.items() if d["verdict"] == "worse"]
    assert not worse, f"python -m benchmarks.gate tells more:\n{gate.table_of(found)}"


def test_the_stored_result_is_whole(stored):
    calls = sum("bytes" in t for t in stored)
    assert {t["part"] for t in stored} == set(gate.PARTS)
    assert calls == 200 + 45 + 45 + 10 + 55 + 10
    assert len({t["key"] for t in stored}) == len(stored)


def test_frozen_views_show_every_object_and_sensor_model():
    views = list(gate_inputs.rendered())
    assert len(views) == gate_inputs.VIEWS
    kinds = {tuple(q.key.split("/")[2:]) for q in views}
    assert len(kinds) == 3 * len(gate_inputs.objects())
    assert all(q.mask.shape == q.cloud.shape and q.mask.sum() >= 30 for q in views)


def test_a_fall_is_called_worse_beyond_its_interval_alone():
    before = [trial(f"{i}", recall=1.0) for i in range(40)]
    few = [trial(f"{i}", recall=float(i >= 2)) for i in range(40)]
    many = [trial(f"{i}", recall=float(i >= 8)) for i in range(40)]
    assert gate.differences(before, few)["rendered_recall"]["verdict"] == ""
    assert gate.differences(before, many)["rendered_recall"]["verdict"] == "worse"
    assert gate.differences(many, before)["rendered_recall"]["verdict"] == "better"


def test_only_trials_of_both_runs_are_compared():
    found = gate.differences([trial("a", recall=1.0)], [trial("a", recall=0.0), trial("b", recall=1.0)])
    assert found["rendered_recall"]["pairs"] == 1 and np.isnan(found["rendered_recall"]["low"])
    with pytest.raises(ValueError, match="no trial that both runs share"):
        gate.differences([trial("a", recall=1.0)], [trial("b", recall=1.0)])


def test_rounding_of_another_machine_is_no_move():
    before = [trial(f"{i}", score=0.8, error_log10=-2.0) for i in range(40)]
    after = [trial(f"{i}", score=0.8001, error_log10=-2.0001) for i in range(40)]
    assert all(d["verdict"] == "" for d in gate.differences(before, after).values())


def test_figures_have_their_intervals():
    found = gate.figures_of([trial(f"{i}", recall=float(i % 2), nees=float(i)) for i in range(40)])
    assert (
        found["rendered_recall"] == 0.5
        and 0.3 < found["rendered_recall_low"] < 0.5 < found["rendered_recall_high"] < 0.7
    )
    assert found["rendered_nees"] == 19.5 and found["rendered_nees_low"] < 19.5 < found["rendered_nees_high"]


@pytest.mark.parametrize(("where", "name", "factor"), MOVED)
def test_the_constants_that_are_changed_exist(where, name, factor):
    section = where.removeprefix("config.")
    owner = importlib.import_module(f"pose_node.{where}") if section == where else getattr(PipelineConfig(), section)
    assert isinstance(getattr(owner, name), (int, float))
