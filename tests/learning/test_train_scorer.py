"""Training the scorer: resumes exactly, tells right from wrong on made-up data, and exports what it trained."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch

from pose_node.config import InferConfig
from pose_node.errors import InputError, ModelError
from pose_node.learning import train_scorer as module
from pose_node.learning.scorer_data import PoseData
from pose_node.learning.scorer_network import ScorerNetwork
from pose_node.learning.train_scorer import Recipe, calibrate, export_scorer, figures, winners
from pose_node.network.scorer import Scorer

SHORT = replace(Recipe(), steps=40, groups=8, save_every=20)


def made_up(groups=60, poses=5, seed=0):
    """Poses of which one in each group is right in half of the groups: its samples are hit."""
    rng = np.random.default_rng(seed)
    n = groups * poses
    right = np.zeros((groups, poses), bool)
    right[::2, 0] = True
    right = right.ravel()
    samples = rng.normal(size=(n, 12, 9)).astype(np.float32)
    samples[..., 4] = right[:, None] | (rng.random((n, 12)) < 0.3)
    return PoseData(
        samples=samples,
        weight=np.full((n, 12), 1 / 12, np.float32),
        points=rng.normal(size=(n, 8, 6)).astype(np.float32),
        context=rng.normal(size=(n, 6)).astype(np.float32),
        right=right,
        refined=np.ones(n, bool),
        same=np.repeat(np.arange(groups) % 2 == 0, poses),
        group=np.repeat(np.arange(groups), poses),
    )


def fit(folder, recipe, resume=True):
    folder.mkdir(exist_ok=True)
    return module._fit(folder, recipe, made_up(), made_up(seed=1), resume)


def test_a_stopped_run_resumes_exactly_and_learns(tmp_path):
    whole, log = fit(tmp_path / "a", SHORT)
    stopped = tmp_path / "b"
    stopped.mkdir()

    class Stop(Exception):
        pass

    def stop(step, *rest):
        if step == 25:
            raise Stop
        return schedule(step, *rest)

    schedule = module.schedule
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "schedule", stop)
        with pytest.raises(Stop):
            fit(stopped, SHORT)
    again, log_again = fit(stopped, SHORT)
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert log == log_again and log[-1]["nats"] < log[0]["nats"]
    with pytest.raises(ModelError, match="--restart"):
        fit(stopped, replace(SHORT, seed=1))


def test_winners_are_the_best_refined_poses():
    data = made_up(groups=3, poses=4)
    data = replace(data, refined=np.arange(12) != 5)
    log_odds = np.array([0, 3, 1, 2, 0, 9, 1, 2, 5, 1, 1, 1], float)
    assert winners(data, log_odds).tolist() == [1, 7, 8]


def test_calibration_makes_an_overconfident_network_less_sure():
    data = made_up(groups=200)
    network = ScorerNetwork()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)
    before = figures(network, data)["calibration_error"]
    network.calibration.copy_(torch.tensor(calibrate(network, data)))
    assert figures(network, data)["calibration_error"] < before
    assert network.calibration[0] < 1.0


def test_the_exported_scorer_answers_as_the_trained_one(tmp_path):
    network = ScorerNetwork()
    export_scorer(network, tmp_path, {"recipe": asdict(Recipe())})
    inputs = module._example(np.random.default_rng(5), 4, 70, 33, 9)
    with torch.no_grad():
        expected = network(*inputs).numpy()
    found = Scorer(tmp_path, InferConfig()).log_odds([each.numpy() for each in inputs])
    assert found == pytest.approx(expected, abs=1e-4)


def test_bad_settings_are_refused(tmp_path):
    for field in fields(Recipe):
        if field.name != "seed":
            with pytest.raises(InputError, match=field.name):
                replace(Recipe(), **{field.name: 0})
    with pytest.raises(InputError, match="found no mesh"):
        module.train_scorer(tmp_path, SHORT, meshes=[tmp_path])
