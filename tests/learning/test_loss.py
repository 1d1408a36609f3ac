"""The loss: minimal at the truth, invariant to symmetry, without pose terms where there is no object."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pose_node.geometry.harmonics import COEFFICIENTS, rotation_basis
from pose_node.geometry.se3 import exp_so3, transform
from pose_node.geometry.symmetry import Axis, Symmetry, rotation_grid, turn
from pose_node.learning.dataset import Views, collate
from pose_node.learning.loss import WEIGHTS, losses, total
from pose_node.measurement.sampling import CENTRES

pytestmark = pytest.mark.learning
GRID = torch.tensor(rotation_basis(rotation_grid(600)), dtype=torch.float32)
NAMES = ("objectness", "offsets", "frames", "coordinates", "spreads", "centre", "rotation")
DIAMETER_M, CENTRE_M = 0.15, np.array([0.01, -0.02, 0.005])
QUARTERS = np.stack([transform(exp_so3(np.array([0.0, 0.0, a])), np.zeros(3)) for a in np.arange(4) * np.pi / 2])
NONE = Symmetry(np.eye(4)[None])
FOURFOLD = Symmetry(QUARTERS)
ROUND = Symmetry(np.eye(4)[None], (Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3)),))
POSE = transform(exp_so3(np.array([0.4, -1.1, 0.7])), np.array([0.05, 0.02, 0.7]))


def views_of(symmetry):
    return Views(SimpleNamespace(diameter_m=DIAMETER_M, centre_m=CENTRE_M, symmetry=symmetry), None, 1, seed=0)


def truth_of(symmetry, *poses, on_object=0.8):
    """Labels of one cloud for each pose: points about the object, the first share of them on it; None has no object."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.06, 0.06, (400, 3)) + POSE[:3, 3]
    on = np.arange(400) < on_object * 400
    samples = [
        views_of(symmetry).sample(
            SimpleNamespace(points_m=points, viewpoint_m=np.zeros(3), T_camera_object=pose, on_object=on)
        )
        for pose in poses
    ]
    return collate(samples).truth


def perfect(truth, copy=0, sharpness=0.0):
    """Outputs of a perfect network, in any of the equal poses; ``sharpness`` of its density at the truth."""
    answers = {
        "objectness": 20.0 * (2.0 * truth.on_object - 1.0),
        "offsets": truth.offsets,
        "frames": truth.frames[:, copy, None].expand(-1, CENTRES, -1, -1),
        "coordinates": truth.coordinates[:, copy],
        "spreads": torch.zeros_like(truth.on_object),
        "centre": truth.centre,
        "rotation": sharpness * truth.basis.mean(1),
    }
    return answers


def evaluate(answers, truth):
    return {name: float(part) for name, part in losses(tuple(answers[n] for n in NAMES), truth, GRID).items()}


@pytest.mark.parametrize("symmetry", [NONE, FOURFOLD, ROUND], ids=["none", "fourfold", "round"])
def test_the_loss_is_minimal_at_the_truth(symmetry):
    truth = truth_of(symmetry, POSE)
    parts = evaluate(perfect(truth), truth)
    for name in ("objectness", "coordinates", "frame", "offset", "centre"):
        assert parts[name] == pytest.approx(0.0, abs=1e-6), name
    assert set(parts) == set(WEIGHTS)


@pytest.mark.parametrize("symmetry", [FOURFOLD, ROUND], ids=["fourfold", "round"])
def test_all_equal_poses_have_the_same_loss(symmetry):
    truth = truth_of(symmetry, POSE)
    for copy in range(1, truth.frames.shape[1], 3):
        parts = evaluate(perfect(truth, copy), truth)
        for name in ("coordinates", "frame"):
            assert parts[name] == pytest.approx(0.0, abs=1e-6), (copy, name)


@pytest.mark.parametrize(
    ("symmetry", "motion"),
    [(FOURFOLD, QUARTERS[1]), (FOURFOLD, QUARTERS[2]), (ROUND, turn(ROUND.axes[0], np.array(5 * 2.0 * np.pi / 24)))],
    ids=["quarter", "half", "round"],
)
def test_an_equal_pose_as_the_truth_has_the_same_loss(symmetry, motion):
    rng = torch.Generator().manual_seed(0)
    truth, other = truth_of(symmetry, POSE), truth_of(symmetry, POSE @ motion)
    answers = perfect(truth, sharpness=2.0)
    answers = {name: value + 0.1 * torch.randn(value.shape, generator=rng) for name, value in answers.items()}
    # The object's centre is not on the axis here, so offsets differ between equal poses; they are not asked for.
    before, after = evaluate(answers, truth), evaluate(answers, other)
    for name in ("objectness", "coordinates", "frame", "rotation"):
        assert after[name] == pytest.approx(before[name], rel=1e-4, abs=1e-5), name


def test_without_symmetry_a_rotated_truth_has_another_loss():
    truth, other = truth_of(NONE, POSE), truth_of(NONE, POSE @ QUARTERS[1])
    parts = evaluate(perfect(truth), other)
    for name in ("coordinates", "frame"):
        assert parts[name] > 0.1, name


def test_points_may_vote_for_different_equal_frames_but_coordinates_must_agree():
    truth = truth_of(FOURFOLD, POSE)
    answers = perfect(truth)
    half = torch.arange(CENTRES) % 2 == 0
    answers["frames"] = torch.where(half[:, None, None], truth.frames[:, 0, None], truth.frames[:, 1, None])
    answers["coordinates"] = torch.where(half[:, None], truth.coordinates[:, 0], truth.coordinates[:, 1])
    parts = evaluate(answers, truth)
    assert parts["frame"] == pytest.approx(0.0, abs=1e-6)
    assert parts["coordinates"] > 0.05


def test_a_view_without_the_object_has_an_objectness_loss_only():
    truth = truth_of(NONE, None)
    answers = {name: torch.randn_like(value).requires_grad_() for name, value in perfect(truth).items()}
    parts = losses(tuple(answers[n] for n in NAMES), truth, GRID)
    assert {name for name, part in parts.items() if float(part.detach()) != 0.0} == {"objectness"}
    total(parts).backward()
    for name, value in answers.items():
        moved = value.grad is not None and float(value.grad.abs().max()) > 0
        assert moved == (name == "objectness"), name


def test_a_view_without_the_object_does_not_dilute_the_others():
    alone, mixed = truth_of(NONE, POSE), truth_of(NONE, POSE, None, None)
    rng = torch.Generator().manual_seed(1)
    answers = {n: torch.randn(v.shape, generator=rng) for n, v in perfect(alone).items()}
    repeated = {n: v.expand(3, *v.shape[1:]) for n, v in answers.items()}
    before, after = evaluate(answers, alone), evaluate(repeated, mixed)
    for name in ("coordinates", "frame", "offset", "rotation", "centre"):
        assert after[name] == pytest.approx(before[name], rel=1e-5), name


def test_points_off_the_object_have_an_objectness_loss_only():
    truth = truth_of(NONE, POSE, on_object=0.5)
    answers = perfect(truth)
    off = truth.on_object == 0
    assert off.any()
    for name in ("offsets", "frames", "coordinates", "spreads"):
        answers[name] = answers[name].clone()
        answers[name][off] = 7.0
    parts = evaluate(answers, truth)
    for name in ("coordinates", "frame", "offset"):
        assert parts[name] == pytest.approx(0.0, abs=1e-6), name


def test_a_density_with_its_peak_at_the_truth_has_a_lower_loss():
    truth = truth_of(NONE, POSE)
    nll = [evaluate(perfect(truth, sharpness=s), truth)["rotation"] for s in (-1.0, 0.0, 1.0, 2.0)]
    assert nll == sorted(nll, reverse=True)
    assert nll[1] == pytest.approx(np.log(601), rel=1e-4), "flat: each of the grid and the truth are as likely"
    elsewhere = truth_of(NONE, POSE @ QUARTERS[2])
    assert evaluate(perfect(truth, sharpness=2.0), elsewhere)["rotation"] > nll[1]


def test_an_error_with_a_large_spread_costs_less():
    truth = truth_of(NONE, POSE)
    answers = perfect(truth)
    wrong = {**answers, "coordinates": answers["coordinates"] + 0.5}
    announced = {**wrong, "spreads": answers["spreads"] + float(np.log(3 * 0.49))}
    assert evaluate(announced, truth)["coordinates"] < evaluate(wrong, truth)["coordinates"]
    assert evaluate({**answers, "spreads": answers["spreads"] - 2.0}, truth)["coordinates"] < -1.9


def test_the_total_is_the_weighted_sum():
    parts = {name: torch.tensor(float(i + 1)) for i, name in enumerate(WEIGHTS)}
    assert float(total(parts)) == pytest.approx(sum(WEIGHTS[n] * float(p) for n, p in parts.items()))


def test_a_batch_of_negatives_alone_is_finite():
    truth = truth_of(NONE, None, None)
    answers = {n: torch.zeros_like(v) for n, v in perfect(truth).items()}
    assert all(np.isfinite(v) for v in evaluate(answers, truth).values())
    assert truth.basis.shape[-1] == COEFFICIENTS
