"""A test object without renderer or training: a convex block, its card, its depth images, its bank, and an ideal backbone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import HalfspaceIntersection
from scipy.spatial.distance import pdist

from pose_node.arrays import Array
from pose_node.geometry.se3 import apply, exp_so3, invert, transform
from pose_node.geometry.symmetry import Symmetry
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import farthest_points
from pose_node.network.backbone import BACKBONE_FILE, INPUTS, OUTPUTS, Features
from pose_node.network.input import Prepared
from pose_node.objects.bank import BANK_FILE, Bank, save_bank
from pose_node.objects.card import CARD_FILE, MESH_FILE, ObjectCard, load_card, save_card
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

    def oracle(self, T_camera_object: Array, noise: float = 0.0, seed: int = 0) -> Callable[[Prepared], Features]:
        """What a perfect backbone (with ``noise`` in diameters) answers when the block stands at a pose; other points get chance
        descriptors of low quality."""
        R = T_camera_object[:3, :3]

        def run(prepared: Prepared) -> Features:
            rng = np.random.default_rng(seed)
            places_m = apply(invert(T_camera_object), prepared.centres_m())
            on_block = (places_m @ _UNIT.T - _OFFSETS).max(axis=1) < 0.003
            places_m = places_m + noise * self.card.diameter_m * rng.normal(size=places_m.shape)
            chance = rng.normal(size=(len(places_m), 32))
            chance /= np.linalg.norm(chance, axis=1, keepdims=True)
            vectors = (_VECTORS + noise * rng.normal(size=(len(places_m), 8, 3))) @ R.T
            return Features(
                np.where(on_block[:, None], described(places_m), chance).astype(np.float32),
                vectors.astype(np.float32),
                np.where(on_block, 3.0, -3.0).astype(np.float32),
            )

        return run


_FREQUENCIES = (
    np.random.default_rng(5).normal(size=(3, 16)) / 0.012
)  # 1/m: descriptors are alike within about a centimetre
_VECTORS = np.random.default_rng(6).normal(size=(8, 3))


def described(places_m: Array) -> Array:
    """Ideal descriptors [N, 32], of unit length, of places [N, 3] on the block."""
    phase = places_m @ _FREQUENCIES
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / 4.0


def ideal_bank(card: ObjectCard, sha256: str) -> Bank:
    """The bank that belongs to ``Block.oracle``, of the surface's first samples."""
    places_m = card.surface.points_m[:2048]
    return Bank(
        described(places_m).astype(np.float32),
        ((places_m - card.centre_m) / card.diameter_m).astype(np.float32),
        np.tile(_VECTORS, (len(places_m), 1, 1)).astype(np.float32),
        np.arange(len(places_m)) % 16,
        np.tile(np.eye(3)[:1], (16, 1)).astype(np.float32),
        sha256,
    )


def write_backbone(
    folder: Path, outputs: dict[str, tuple[int, ...]] = OUTPUTS, inputs: tuple[str, ...] = INPUTS
) -> str:
    """A folder with a backbone that gives all centres the same descriptor and no vectors, and its card; returns its sha256.

    outputs: {name: last dimensions}.
    """
    onnx = pytest.importorskip("onnx", reason="writes the little networks of these tests")
    helper, floats, whole = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    kinds = {"centres": (whole, ["clouds", "centres"]), "viewpoint": (floats, ["clouds", 3])}
    entries = [
        helper.make_tensor_value_info(name, *kinds.get(name, (floats, ["clouds", "points", 3]))) for name in inputs
    ]
    constants, nodes, results = [], [helper.make_node("Shape", [inputs[-1]], ["count"], end=2)], []
    for name, tail in outputs.items():
        value = np.zeros((1, 1, *tail), np.float32)
        value.ravel()[0] = 1.0
        constants.append(onnx.numpy_helper.from_array(value, f"{name}_value"))
        constants.append(onnx.numpy_helper.from_array(np.array(tail, np.int64), f"{name}_tail"))
        nodes.append(helper.make_node("Concat", ["count", f"{name}_tail"], [f"{name}_shape"], axis=0))
        nodes.append(helper.make_node("Expand", [f"{name}_value", f"{name}_shape"], [name]))
        results.append(helper.make_tensor_value_info(name, floats, ["clouds", "centres", *tail]))
    graph = helper.make_graph(nodes, "constant", entries, results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BACKBONE_FILE).write_bytes(model.SerializeToString())
    sha256 = hashlib.sha256((folder / BACKBONE_FILE).read_bytes()).hexdigest()
    (folder / CARD_FILE).write_text(f"network: {{sha256: {sha256}, temperature: 0.03}}\n", encoding="utf-8")
    return sha256


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
    """The block in a folder of its own, as ``load_card`` reads it; the backbone beside it describes all places alike."""
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
    save_card(card)
    save_bank(folder / BANK_FILE, ideal_bank(card, write_backbone(folder.parent / "backbone")))
    return Block(load_card(folder))


@pytest.fixture(scope="session")
def backbone_writer() -> Callable[..., str]:
    """See ``write_backbone``."""
    return write_backbone


@pytest.fixture
def pose() -> Array:
    """A pose of the block that shows three of its faces."""
    return transform(exp_so3(np.array([0.5, -0.7, 0.3])), np.array([0.02, -0.01, 0.6]))
