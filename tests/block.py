"""A test object without renderer or training: a convex block, its card, its depth images, and an ideal network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import HalfspaceIntersection
from scipy.spatial.distance import pdist

from pose_node.arrays import Array
from pose_node.geometry.harmonics import COEFFICIENTS, rotation_basis
from pose_node.geometry.se3 import apply, exp_so3, invert, transform
from pose_node.geometry.symmetry import Symmetry, rotation_grid
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import CENTRES, POINTS, farthest_points
from pose_node.network.input import Prepared
from pose_node.objects.card import MESH_FILE, ObjectCard, load_card, save_card
from pose_node.objects.surface import SURFACE_FILE, Surface, save_surface

# n . x <= d, metres: a block with three different edges and two corners cut off at odd angles, so no motion keeps it.
_NORMALS = np.array(
    [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [1.0, 0.8, 0.5], [-1.0, 0.3, 1.6]], float
)
_OFFSETS = np.array([0.07, 0.07, 0.045, 0.045, 0.03, 0.03, 0.058, 0.062])
_UNIT = _NORMALS / np.linalg.norm(_NORMALS, axis=1, keepdims=True)
K = np.array([[280.0, 0.0, 79.5], [0.0, 280.0, 59.5], [0.0, 0.0, 1.0]])
SHAPE = (120, 160)


@dataclass(frozen=True, eq=False)
class Block:
    """The part: its card, and how a depth camera sees it."""

    card: ObjectCard

    def see(self, T_camera_object: Array, table_m: float = 0.9, finer: float = 1.0) -> tuple[Cloud, np.ndarray]:
        """Cloud of a depth image of the block before a wall at ``table_m``, and the block's mask; ``finer``: pixels a side."""
        v, u = np.indices((int(finer * SHAPE[0]), int(finer * SHAPE[1])), dtype=float) / finer
        rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(u.shape)], axis=-1)
        T = invert(T_camera_object)
        along, start = rays @ T[:3, :3].T @ _UNIT.T, _UNIT @ T[:3, 3]
        with np.errstate(divide="ignore"):
            reach = (_OFFSETS - start) / along
        enter = np.where(along < 0, reach, -np.inf).max(axis=-1)
        leave = np.where(along > 0, reach, np.inf).min(axis=-1)
        mask = (enter < leave) & (enter > 0)
        camera = np.diag([finer, finer, 1.0]) @ K
        return Cloud.from_depth(np.where(mask, enter, table_m), camera), mask

    def oracle(
        self, T_camera_object: Array, noise: float = 0.0, seed: int = 0
    ) -> Callable[[Prepared], dict[str, Array]]:
        """What a perfect network (with ``noise`` in diameters) answers when the block stands at a pose."""
        T_camera_centre = T_camera_object @ transform(np.eye(3), self.card.centre_m)

        def run(prepared: Prepared) -> dict[str, Array]:
            rng = np.random.default_rng(seed)
            centres = prepared.centres_m()
            known = apply(invert(T_camera_centre), centres) / prepared.scale_m
            t, R = T_camera_centre[:3, 3], T_camera_centre[:3, :3]
            return {
                "objectness": np.full(len(centres), 6.0),
                "offsets": (t - centres) / prepared.scale_m + noise * rng.normal(size=centres.shape) @ R.T,
                "frames": np.tile(R.T[:2], (len(centres), 1, 1)) + noise * rng.normal(size=(len(centres), 2, 3)) @ R.T,
                "coordinates": known + noise * rng.normal(size=centres.shape),
                "spreads": np.full(len(centres), -3.0),
                "centre": (t - prepared.centre_m) / prepared.scale_m,
                "rotation": density_at(R),
            }

        return run


def density_at(R: Array, sharpness: float = 3.0) -> Array:
    """Coefficients [165] of a log density over SO(3) with its one highest peak at R [3, 3]."""
    grid = rotation_grid(1200)
    half = 0.5 * np.arccos(np.clip(0.5 * (np.trace(R.T @ grid, axis1=1, axis2=2) - 1.0), -1.0, 1.0)) + 1e-9
    characters = sum(np.sin((2 * degree + 1) * half) / np.sin(half) for degree in range(5))  # all peak at angle zero
    return np.linalg.lstsq(rotation_basis(grid), sharpness * characters, rcond=None)[0]


def write_onnx(
    path: Path, change: dict[str, tuple[int, ...] | None] | None = None, inputs: tuple[str, ...] | None = None
):
    """Writes a network with the right inputs and outputs, all zeros; ``change`` gives outputs another shape, or removes them."""
    onnx = pytest.importorskip("onnx", reason="writes the little networks of these tests")
    from pose_node.network.session import INPUTS

    shapes = {
        "objectness": (CENTRES,),
        "offsets": (CENTRES, 3),
        "frames": (CENTRES, 2, 3),
        "coordinates": (CENTRES, 3),
        "spreads": (CENTRES,),
        "centre": (3,),
        "rotation": (COEFFICIENTS,),
    }
    shapes.update(change or {})
    taken = {"points": (POINTS, 3), "normals": (POINTS, 3), "viewpoint": (3,), "centres": (CENTRES,)}
    helper, floats, whole = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    entries = [
        helper.make_tensor_value_info(name, whole if name == "centres" else floats, (1, *taken.get(name, (1,))))
        for name in (INPUTS if inputs is None else inputs)
    ]
    kept = {name: (1, *shape) for name, shape in shapes.items() if shape is not None}
    zeros = [onnx.numpy_helper.from_array(np.zeros(shape, np.float32), f"{name}_zeros") for name, shape in kept.items()]
    nodes = [helper.make_node("Identity", [f"{name}_zeros"], [name]) for name in kept]
    results = [helper.make_tensor_value_info(name, floats, shape) for name, shape in kept.items()]
    graph = helper.make_graph(nodes, "zeros", entries, results, zeros)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _surface() -> Surface:
    """Even samples of the block's faces; convex, so a sample is seen exactly when it faces the viewer."""
    rng = np.random.default_rng(0)
    points, normals = [], []
    for n, d in zip(_UNIT, _OFFSETS):
        across = np.linalg.svd(n[None])[2][1:]
        p = d * n + rng.uniform(-0.12, 0.12, (12000, 2)) @ across
        p = p[(p @ _UNIT.T <= _OFFSETS + 1e-12).all(axis=1)]
        points.append(p)
        normals.append(np.tile(n, (len(p), 1)))
    points, normals = np.concatenate(points), np.concatenate(normals)
    centroid = points.mean(axis=0)
    order = np.argsort(np.sum((points - centroid) ** 2, axis=1), kind="stable")
    points, normals = points[order], normals[order]
    first = farthest_points((points - centroid) / 0.17, 2048)
    rest = rng.permutation(np.setdiff1d(np.arange(len(points)), first))[: 8192 - 2048]
    rows = np.concatenate([first, rest])
    k = np.arange(642) + 0.5
    z, turn = 1.0 - 2.0 * k / 642, k * np.pi * (3.0 - 5.0**0.5)
    directions = np.column_stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z])
    viewpoints = centroid + 5.0 * 0.17 * directions
    towards = viewpoints[:, None] - points[first][None]
    visible = np.einsum("vsi,si->vs", towards, normals[first]) > 0
    return Surface(points[rows], normals[rows], directions, visible)


@pytest.fixture(scope="session")
def block(tmp_path_factory: pytest.TempPathFactory) -> Block:
    """The block in a folder of its own, as ``load_card`` reads it, with a network that answers zeros."""
    folder = tmp_path_factory.mktemp("models") / "block"
    folder.mkdir()
    corners = HalfspaceIntersection(np.column_stack([_UNIT, -_OFFSETS]), np.zeros(3)).intersections
    surface = _surface()
    card = ObjectCard(
        name="block",
        folder=folder,
        diameter_m=float(pdist(corners).max()),
        centre_m=surface.points_m.mean(axis=0),
        symmetry=Symmetry(np.eye(4)[None]),
        confusions=np.zeros((0, 4, 4)),
        confusion_axes=(),
        surface=surface,
        mesh_path=folder / MESH_FILE,
    )
    card.mesh_path.write_bytes(b"")  # named by the card, read by the learning side alone
    save_surface(folder / SURFACE_FILE, surface)
    save_card(replace(card, network=write_onnx(folder / "pose.onnx")))
    return Block(load_card(folder))


@pytest.fixture(scope="session")
def onnx_writer() -> Callable[..., dict[str, str]]:
    """See ``write_onnx``."""
    return write_onnx


@pytest.fixture(scope="session")
def peaked() -> Callable[..., Array]:
    """See ``density_at``."""
    return density_at


@pytest.fixture
def pose() -> Array:
    """A pose of the block that shows three of its faces."""
    return transform(exp_so3(np.array([0.5, -0.7, 0.3])), np.array([0.02, -0.01, 0.6]))
