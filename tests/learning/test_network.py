"""The network: equivariance and invariance, distinct mirror images, independent clouds of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pose_node.geometry.harmonics import COEFFICIENTS, rotation_basis
from pose_node.geometry.se3 import exp_so3
from pose_node.geometry.symmetry import rotation_grid
from pose_node.learning.export import OUTPUTS
from pose_node.learning.network import COARSE_CENTRES, PoseNetwork
from pose_node.measurement.sampling import CENTRES, POINTS
from pose_node.network.input import prepare

pytestmark = pytest.mark.learning
MIRROR = np.diag([-1.0, 1.0, 1.0])
VECTORS = ("offsets", "frames", "centre")
SCALARS = ("objectness", "coordinates", "spreads")
GRID = rotation_basis(rotation_grid(40))


@pytest.fixture(scope="module")
def network():
    """Random weights in float64, so that rounding is negligible."""
    torch.manual_seed(0)
    return PoseNetwork().eval().double()


def cloud(seed):
    """Network inputs of a lopsided shell: points, normals, viewpoint, centres."""
    rng = np.random.default_rng(seed)
    n = rng.normal(size=(1400, 3))
    n[:, 2] = -np.abs(n[:, 2])
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    points = n * (0.09, 0.06, 0.04)
    points[points[:, 0] > 0.02] += (0.0, 0.03, -0.01)  # a step to one side, so that no mirror keeps it
    points += rng.normal(size=points.shape) * 0.001 + (0.1, -0.05, 0.8)
    return prepare(points, np.zeros(3), 0.2).inputs()


def run(network, *clouds):
    """Outputs by name, as float64 arrays, for a batch."""
    dtype = next(network.parameters()).dtype
    stacked = [torch.tensor(np.stack(arrays)) for arrays in zip(*clouds)]
    with torch.no_grad():
        outputs = network(*(a.to(dtype) for a in stacked[:3]), stacked[3])
    return {name: value.double().numpy() for name, value in zip(OUTPUTS, outputs)}


def turned(inputs, R):
    points, normals, viewpoint, centres = (np.asarray(a, float) if i < 3 else a for i, a in enumerate(inputs))
    return points @ R.T, normals @ R.T, viewpoint @ R.T, centres


def exact(inputs):
    return turned(inputs, np.eye(3))


def difference(found, expected):
    """Relative to the largest value."""
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
@pytest.mark.parametrize("seed", range(3))
def test_every_output_is_equivariant_or_invariant(network, dtype, tolerance, seed):
    """In float64 the limit is the rounding of the Clebsch-Gordan tensors, stored as float32.

    Pooled outputs have five times the tolerance: with random weights they nearly cancel before they are normalised.
    """
    R = exp_so3(np.random.default_rng(seed).normal(size=3) * 2.0)
    inputs = cloud(seed)
    network = network.to(dtype)
    try:
        still, moved = run(network, exact(inputs)), run(network, turned(inputs, R))
    finally:
        network.double()
    for name in SCALARS:
        assert difference(moved[name], still[name]) < tolerance, name
    for name in VECTORS:
        limit = 5.0 * tolerance if name == "centre" else tolerance
        assert difference(moved[name], still[name] @ R.T) < limit, name
    # f'(R G) = f(G): the density of the turned cloud is the turned density.
    turned_grid = rotation_basis(R @ rotation_grid(40))
    assert difference(turned_grid @ moved["rotation"][0], GRID @ still["rotation"][0]) < 5.0 * tolerance


def test_outputs_have_the_shapes_of_the_contract(network):
    outputs = run(network, cloud(0), cloud(1))
    shapes = {
        "objectness": (2, CENTRES),
        "offsets": (2, CENTRES, 3),
        "frames": (2, CENTRES, 2, 3),
        "coordinates": (2, CENTRES, 3),
        "spreads": (2, CENTRES),
        "centre": (2, 3),
        "rotation": (2, COEFFICIENTS),
    }
    assert {name: value.shape for name, value in outputs.items()} == shapes
    assert all(np.isfinite(value).all() for value in outputs.values())


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_output_depends_on_the_cloud(network, name):
    """A network with constant output zero would be equivariant, too."""
    a, b = run(network, cloud(0))[name], run(network, cloud(5))[name]
    assert difference(a, b) > 1e-2
    if a.ndim > 1 and a.shape[1] == CENTRES:
        assert np.ptp(a, axis=1).max() > 1e-2 * np.abs(a).max(), "centres differ"


def test_outputs_depend_on_the_viewpoint(network):
    points, normals, viewpoint, centres = exact(cloud(0))
    beside = (points, normals, np.add(viewpoint, (1.0, 0.0, 0.0)), centres)
    assert (
        difference(
            run(network, beside)["coordinates"], run(network, (points, normals, viewpoint, centres))["coordinates"]
        )
        > 1e-4
    )


def test_outputs_do_not_depend_on_the_order_of_the_points(network):
    points, normals, viewpoint, centres = exact(cloud(2))
    order = np.random.default_rng(0).permutation(POINTS)
    shuffled = (points[order], normals[order], viewpoint, np.argsort(order)[centres])
    before, after = run(network, (points, normals, viewpoint, centres)), run(network, shuffled)
    for name in OUTPUTS:
        assert difference(after[name], before[name]) < 1e-9, name


def test_outputs_follow_the_order_of_the_fine_centres(network):
    points, normals, viewpoint, centres = exact(cloud(3))
    rest = COARSE_CENTRES + np.random.default_rng(0).permutation(CENTRES - COARSE_CENTRES)
    order = np.concatenate([np.arange(COARSE_CENTRES), rest])
    before, after = (
        run(network, (points, normals, viewpoint, centres)),
        run(network, (points, normals, viewpoint, centres[order])),
    )
    np.testing.assert_allclose(after["coordinates"], before["coordinates"][:, order], rtol=1e-9, atol=1e-12)
    assert difference(after["rotation"], before["rotation"]) < 1e-9


@pytest.mark.parametrize("name", ["objectness", "coordinates", "spreads"])
def test_invariant_outputs_differ_for_a_mirror_image(network, name):
    """A network equivariant to O(3) would give equal outputs."""
    inputs = cloud(4)
    assert difference(run(network, turned(inputs, MIRROR))[name], run(network, exact(inputs))[name]) > 0.02


def test_vectors_of_a_mirror_image_are_not_mirrored(network):
    inputs = cloud(4)
    mirrored, plain = run(network, turned(inputs, MIRROR)), run(network, exact(inputs))
    for name in VECTORS:
        assert difference(mirrored[name], plain[name] @ MIRROR.T) > 0.02, name


def test_clouds_of_a_batch_are_independent(network):
    a, b = exact(cloud(0)), exact(cloud(1))
    together, alone = run(network, a, b), [run(network, a), run(network, b)]
    for name in OUTPUTS:
        for i in range(2):
            assert difference(together[name][i], alone[i][name][0]) < 1e-9, name


def test_fewer_points_and_centres_are_accepted(network):
    points, normals, viewpoint, centres = exact(cloud(0))
    few = np.concatenate([centres[:40], np.setdiff1d(np.arange(POINTS), centres)[:260]])
    outputs = run(network, (points[few], normals[few], viewpoint, np.arange(40)))
    assert outputs["coordinates"].shape == (1, 40, 3)
    assert all(np.isfinite(value).all() for value in outputs.values())


def test_few_points_give_finite_outputs(network):
    rng = np.random.default_rng(0)
    prepared = prepare(rng.normal(size=(60, 3)) * 0.03 + (0.0, 0.0, 0.7), np.zeros(3), 0.2)
    assert all(np.isfinite(value).all() for value in run(network, prepared.inputs()).values())


def test_the_gradient_reaches_every_weight():
    torch.manual_seed(1)
    network = PoseNetwork().train()
    stacked = [torch.tensor(np.stack(arrays)) for arrays in zip(cloud(0), cloud(1))]
    outputs = network(*stacked)
    torch.manual_seed(2)
    sum((torch.randn_like(value) * value).sum() for value in outputs).backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not dead
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_a_seed_determines_the_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in PoseNetwork().parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
