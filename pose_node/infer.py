"""Segment -> hypotheses: the only import of onnxruntime.

The network speaks through three heads; each becomes a handful of poses by an exactly equivariant route:
votes:        every point's own frame and centre is a full pose; the densest of them, up to symmetry, are kept.
coordinates:  point pairs (seen point, its place on the object) agree or not with each point's frame; the best-supported
              frames are polished by weighted, trimmed Kabsch fits.
rotation:     the peaks of the density over SO(3), by ascent from a fixed grid.
Which of them is right is not decided here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pose_node.card import ObjectCard
from pose_node.config import InferConfig
from pose_node.errors import ModelError
from pose_node.harmonics import COEFFICIENTS, RotationDensity, derivatives, rotation_basis
from pose_node.prepare import Drawn, Prepared, draw
from pose_node.scene import Scene
from pose_node.se3 import exp_so3, project_so3, transform
from pose_node.symmetry import largest_trace, nearest_symmetric, rotation_grid
from pose_node.types import Array, Belief, Hypothesis, HypothesisSource, Rejected, Segment, SegmentSource

INPUTS = ("points", "normals", "viewpoint", "centres")
OUTPUTS = ("objectness", "offsets", "frames", "coordinates", "spreads", "centre", "rotation")
# CUDA's default is to round what matrix products take to ten bits (TF32), which is no longer the exported network.
_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
_PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
_GRID = 2304
_FIRST_STEPS, _LAST_STEPS = 8, 40
_STILL_RAD = 1e-8  # a climb of shorter steps has arrived
_SAME_RAD = np.deg2rad(20.0)  # peaks nearer than this are one
_AGREE_REL = 0.08  # a correspondence agrees with a frame within this share of the diameter
_FITS, _POLISHES = 10, 4
_STARTS, _PEAKS = 20, 4
_MOST_NATS = 4.0  # a peak this far below the highest is not believed
_VOTE_REL = 0.12  # votes for one centre scatter by this share of the diameter
_MIN_VOTERS = 0.08  # a smaller share of voters is chance
_FOREIGN = 0.3  # objectness below which a point of a mask is taken for something else
_LEAST_OF_MASK = 0.5  # a mask of which the network would take more than this away is left as it is
_WHOLE = 0.97  # a segment of which nearly all stays is left as it is


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """A network's outputs for one prepared segment. on_object: [M] probability of the centres; keep: [M] which of them vote
    for the object's most likely place; voters: their share."""

    prepared: Prepared
    outputs: dict[str, Array]
    on_object: Array
    keep: NDArray[np.bool_]
    voters: float


class Network:
    """One object's network, and the way from its outputs to poses."""

    def __init__(self, card: ObjectCard, config: InferConfig) -> None:
        """Load and check ``card.network``; raises ModelError when the file or the provider is not as stated."""
        self.card, self.config = card, config
        self.session = open_session(card, config)
        self.provider: str = self.session.get_providers()[0]
        _search_grid()  # made now, not while the first frame waits

    def glance(self, drawn: Drawn) -> Glance:
        """What the network makes of a segment, before any pose is looked for."""
        prepared, outputs, on_object = self._look(drawn)
        voters = _voters(prepared, outputs["offsets"], on_object)
        return Glance(prepared, outputs, on_object, voters, float(voters.mean()))

    def propose(self, segment: Segment, scene: Scene, glance: Glance | None = None) -> list[Hypothesis] | Rejected:
        """At most ``max_hypotheses`` poses of the object in a segment of the scene, or why there are none.

        A segment may hold more than the object: its points are narrowed to those that the network takes for the object,
        and the network looks again. In a mask that is a trimming of its borders, for a mask is the user's word; in a box
        only the points that vote for the most likely centre stay; a cluster stays as it was found. ``glance``: the network's
        first look at the segment, when there was one.
        """
        name = self.card.name
        if len(segment.indices) < self.config.min_points:
            reason = f"{name}: found {len(segment.indices)} points, expected at least {self.config.min_points}."
            return Rejected("too_few_points", reason, name, segment)
        glance = glance or self.glance(scene.drawn(segment))
        prepared, outputs, on_object = glance.prepared, glance.outputs, glance.on_object
        source: SegmentSource
        if segment.source == "mask":
            keep, least, source = on_object > _FOREIGN, _LEAST_OF_MASK, segment.source
        elif segment.source == "cluster":  # creases and gaps part things better than votes do
            keep, least, source = np.ones(len(on_object), dtype=bool), 0.0, segment.source
        else:
            keep, least, source = glance.keep, _MIN_VOTERS, "votes"
            if glance.voters < least:
                reason = f"{name}: {glance.voters:.0%} of the points vote for the object, expected {least:.0%}."
                return Rejected("no_votes", reason, name, segment)
        kept = keep[cKDTree(prepared.centres_m()).query(scene.cloud.points_m[segment.indices])[1]]
        if max(self.config.min_points, least * len(kept)) <= kept.sum() < _WHOLE * len(kept):
            segment = Segment(segment.indices[kept], source, name, told=segment.indices)
            prepared, outputs, on_object = self._look(scene.drawn(segment))
        poses = self._poses(prepared, outputs, on_object)[: self.config.max_hypotheses]
        belief = Belief(RotationDensity(outputs["rotation"]), outputs["centre"] * prepared.scale_m + prepared.centre_m)
        return [Hypothesis(name, T, segment, source, confidence, belief) for T, source, confidence in poses]

    def _look(self, drawn: Drawn) -> tuple[Prepared, dict[str, Array], Array]:
        prepared = drawn.scaled(self.card.diameter_m)
        outputs = self.run(prepared)
        return prepared, outputs, 1.0 / (1.0 + np.exp(-outputs["objectness"]))

    def warm(self) -> float:
        """Look twice at the object's own surface, 1 m away: the first look is slow. Seconds of the second."""
        drawn = draw(self.card.surface.points_m + np.array([0.0, 0.0, 1.0]), np.zeros(3))
        self._look(drawn)
        begin_s = time.perf_counter()
        self._look(drawn)
        return time.perf_counter() - begin_s

    def run(self, prepared: Prepared) -> dict[str, Array]:
        """The network's outputs for one cloud as float64, batch dimension dropped; see ``PoseNetwork.forward``."""
        feeds = {name: np.asarray(value)[None] for name, value in zip(INPUTS, prepared.inputs())}
        try:
            outputs: list[Any] = self.session.run(list(OUTPUTS), feeds)
        except Exception as error:  # onnxruntime raises its own kinds of Exception, all of which mean this
            raise ModelError(f"{self.card.name}: {self.provider} failed while running ({error}).") from error
        return {name: value[0].astype(np.float64) for name, value in zip(OUTPUTS, outputs)}

    def _poses(
        self, prepared: Prepared, outputs: dict[str, Array], on_object: Array
    ) -> list[tuple[Array, HypothesisSource, float]]:
        points = prepared.points[prepared.centres].astype(np.float64)
        frames = frames_to_rotations(outputs["frames"])
        weight = on_object * np.exp(-np.clip(outputs["spreads"], -6.0, 6.0))
        weight = weight / max(weight.sum(), 1e-12)
        centre = weighted_centre(points + outputs["offsets"], on_object)
        found: list[tuple[Array, HypothesisSource, float]] = []
        for R, t, support in consensus(points, outputs["coordinates"], frames, weight):
            found.append((transform(R, t), "coordinates", support))
        for R, share in densest(frames, on_object, self.card, _FITS):
            found.append((transform(R, centre), "votes", share))
        for R, share in self._peaks(outputs["rotation"]):
            found.append((transform(R, centre), "rotation", share))
        return [(self._to_camera(T, prepared), source, confidence) for T, source, confidence in found]

    def _to_camera(self, T_cloud_centre: Array, prepared: Prepared) -> Array:
        """From the prepared cloud's units and the object's centre to metres and the object's origin."""
        R = T_cloud_centre[:3, :3]
        t = T_cloud_centre[:3, 3] * prepared.scale_m + prepared.centre_m
        return transform(R, t - R @ self.card.centre_m)

    def _peaks(self, coefficients: Array) -> list[tuple[Array, float]]:
        """The highest maxima of the density over SO(3), by ascent from the best cells of the grid, each once.

        Which cells serve as starts depends on how the grid lies; what they climb to does not.
        """
        grid, basis = _search_grid()
        density = basis @ coefficients
        best = np.argsort(-density, kind="stable")[:600]
        starts = best[_apart(grid[best], _SAME_RAD, _STARTS)]
        R = _highest(ascend(grid[starts], coefficients, _FIRST_STEPS), coefficients, 2 * _PEAKS)
        R = _highest(ascend(R, coefficients, _LAST_STEPS), coefficients, _PEAKS)
        height = rotation_basis(R) @ coefficients
        return [
            (R[i], float(np.exp(height[i] - height[0]))) for i in range(len(R)) if height[i] > height[0] - _MOST_NATS
        ]


@lru_cache(maxsize=1)
def _search_grid() -> tuple[Array, Array]:
    """Rotations [_GRID, 3, 3] where the search for peaks starts, and their basis [_GRID, 165]: the same for all objects."""
    grid = rotation_grid(_GRID)
    return grid, rotation_basis(grid)


def _voters(prepared: Prepared, offsets: Array, on_object: Array) -> NDArray[np.bool_]:
    """Which centres [M] lie on the object and vote for its most likely place."""
    votes = prepared.points[prepared.centres] + offsets
    apart2 = np.sum((votes[:, None] - votes[None]) ** 2, axis=-1)
    density = np.exp(-apart2 / _VOTE_REL**2) @ on_object
    return (on_object > 0.5) & (apart2[int(density.argmax())] < (2.0 * _VOTE_REL) ** 2)


def _apart(R: Array, angle_rad: float, count: int) -> list[int]:
    """The first ``count`` of the rotations [N, 3, 3] that are ``angle_rad`` or more from all those taken before them."""
    flat = R.reshape(-1, 9)
    left = np.ones(len(flat), dtype=bool)
    taken: list[int] = []
    while len(taken) < count and left.any():
        taken.append(int(left.argmax()))
        left &= flat @ flat[taken[-1]] < 1.0 + 2.0 * np.cos(angle_rad)
    return taken


def _highest(R: Array, coefficients: Array, count: int) -> Array:
    """At most ``count`` of the rotations [P, 3, 3], highest density first, none twice."""
    R = R[np.argsort(-(rotation_basis(R) @ coefficients), kind="stable")]
    return R[_apart(R, 0.5 * _SAME_RAD, count)]


def ascend(R: Array, coefficients: Array, steps: int = 40) -> Array:
    """Climb the density from rotations [P, 3, 3]: Newton steps, bounded, so that the grid is forgotten."""
    slopes = derivatives(coefficients).T
    for _ in range(steps):
        found = rotation_basis(R) @ slopes
        gradient, curvature = found[:, :3], found[:, 3:].reshape(-1, 3, 3)
        size, axes = np.linalg.eigh(curvature)
        # Along every axis move uphill; flat or upward-curved axes get a bounded gradient step.
        along = np.einsum("pij,pi->pj", axes, gradient)
        step = along / np.maximum(np.abs(size), 1e-3 * (1.0 + np.abs(size).max(axis=1, keepdims=True)))
        step = np.einsum("pij,pj->pi", axes, step)
        length = np.linalg.norm(step, axis=1, keepdims=True)
        R = exp_so3(step * np.minimum(1.0, 0.2 / np.maximum(length, 1e-12))) @ R
        if length.max() < _STILL_RAD:
            break
    return R


def frames_to_rotations(frames: Array) -> Array:
    """The rotations [M, 3, 3] nearest to predicted x and y axes [M, 2, 3] (their cross product stands for z)."""
    x, y = np.swapaxes(frames, 0, 1)
    return project_so3(np.stack([x, y, np.cross(x, y)], axis=-1))


def weighted_centre(votes: Array, weight: Array) -> Array:
    """Robust mean of votes [M, 3]: iteratively reweighted (Weiszfeld), continuous in its input."""
    weight = weight + 1e-9
    centre = np.average(votes, axis=0, weights=weight)
    for _ in range(8):
        pull = weight / np.sqrt(np.sum((votes - centre) ** 2, axis=1) + 0.02**2)
        centre = np.average(votes, axis=0, weights=pull)
    return centre


def consensus(points: Array, coordinates: Array, R: Array, weight: Array) -> list[tuple[Array, Array, float]]:
    """Poses (R, t, support) on which most correspondences agree: points [M, 3] seen, coordinates [M, 3] on the object.

    One correspondence with its frame R [M, 3, 3] is a full pose, so each proposes one and all vote (softly, so that a
    vote at the border cannot flip); the best, apart from one another, are fitted to their supporters.
    """
    t = points - (R @ coordinates[..., None])[..., 0]
    order = np.argsort(-_support(R, t, points, coordinates, weight), kind="stable")
    seeds = order[_apart(R[order], _SAME_RAD, _FITS)]
    R, t = R[seeds], t[seeds]
    for _ in range(_POLISHES):
        agreement = np.exp(-_miss2(R, t, points, coordinates) / _AGREE_REL**2)
        R, t = _fit(points, coordinates, weight * agreement)
    R_all, t_all = _fit(points, coordinates, weight[None])
    R, t = np.concatenate([R_all, R]), np.concatenate([t_all, t])
    support = _support(R, t, points, coordinates, weight)
    return [(R[i], t[i], float(support[i])) for i in np.argsort(-support, kind="stable")]


def _support(R: Array, t: Array, points: Array, coordinates: Array, weight: Array) -> Array:
    return np.exp(-_miss2(R, t, points, coordinates) / _AGREE_REL**2) @ weight


def _miss2(R: Array, t: Array, points: Array, coordinates: Array) -> Array:
    """Squared distances [S, M] of the correspondences under poses R [S, 3, 3], t [S, 3]."""
    miss = coordinates @ np.swapaxes(R, -1, -2) + t[:, None] - points
    return np.einsum("smi,smi->sm", miss, miss)


def _fit(points: Array, coordinates: Array, weight: Array) -> tuple[Array, Array]:
    """Weighted Kabsch fits (Kabsch 1976), one for each row of ``weight`` [S, M]: R [S, 3, 3], t [S, 3]."""
    w = (weight + 1e-12) / (weight + 1e-12).sum(axis=1, keepdims=True)
    seen, known = w @ points, w @ coordinates
    R = project_so3(np.swapaxes(w[..., None] * (points - seen[:, None]), -1, -2) @ (coordinates - known[:, None]))
    return R, seen - (R @ known[..., None])[..., 0]


def densest(R: Array, weight: Array, card: ObjectCard, count: int) -> list[tuple[Array, float]]:
    """The densest rotations among votes [M, 3, 3], up to symmetry, each the mean of the votes that it gathers."""
    total = max(weight.sum(), 1e-12)
    T = transform(R, np.zeros(3))
    found: list[tuple[Array, float]] = []
    left = weight.copy()
    # Likeness in [0, 1]: 6 - 2 trace is the squared chordal distance, 8 sin^2(angle / 2).
    kernel = np.exp((largest_trace(R, R, card.symmetry) - 3.0) / _SAME_RAD**2)
    for _ in range(count):
        gathered = kernel @ left
        best = int(np.argmax(gathered))
        if gathered[best] < 0.02 * total:
            break
        near = nearest_symmetric(T[best], T, card.symmetry)[:, :3, :3]
        mean = project_so3(np.einsum("m,mij->ij", kernel[best] * left + 1e-12, near))
        found.append((mean, float(gathered[best] / total)))
        left = left * (1.0 - kernel[best])
    return found


def open_session(card: ObjectCard, config: InferConfig) -> ort.InferenceSession:
    """ONNX Runtime's session for ``card.network``; raises ModelError in one sentence for whatever is wrong."""
    if card.network is None:
        raise ModelError(f"{card.name}: the card names no network; train and export the object first.")
    path = card.folder / str(card.network["file"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}), expected the exported network.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.network["sha256"]:
        raise ModelError(
            f"{path}: found sha256 {digest[:12]}..., expected {str(card.network['sha256'])[:12]}... as on the card."
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    wanted = providers(config)
    if wanted[0] != "CPUExecutionProvider" and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # CUDA's libraries where pip put them: the loader does not look there
    try:
        session = ort.InferenceSession(
            content, options, providers=list(wanted), provider_options=[_OPTIONS.get(name, {}) for name in wanted]
        )
    except Exception as error:  # onnxruntime raises its own kinds of Exception, all of which mean this
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]}).") from error
    # A provider whose libraries do not load is left out silently, although it is listed as available.
    found = session.get_providers()[0]
    if found != wanted[0] and (config.require_gpu or config.provider != "auto"):
        raise ModelError(
            f"infer.provider {config.provider!r}: ONNX Runtime fell back to {found}, expected {wanted[0]}."
        )
    _check_contract(session, path.name)
    return session


def providers(config: InferConfig) -> Sequence[str]:
    """The execution providers to ask for; raises ModelError when the GPU is required and not to be had."""
    available = ort.get_available_providers()
    wanted = _PROVIDERS.get(config.provider)
    if wanted is None:
        wanted = _PROVIDERS["cuda"] if "CUDAExecutionProvider" in available else _PROVIDERS["cpu"]
    if wanted[0] not in available and config.provider != "auto":
        raise ModelError(
            f"infer.provider {config.provider!r}: found {', '.join(available)}, expected {wanted[0]} among them."
        )
    if config.require_gpu and wanted[0] == "CPUExecutionProvider":
        raise ModelError(f"infer.require_gpu: found only {', '.join(available)}, expected a GPU provider.")
    return wanted


def _check_contract(session: ort.InferenceSession, name: str) -> None:
    found_inputs = tuple(i.name for i in session.get_inputs())
    found_outputs = {o.name: o.shape for o in session.get_outputs()}
    if found_inputs != INPUTS or tuple(found_outputs) != OUTPUTS:
        raise ModelError(
            f"{name}: found inputs {found_inputs} and outputs {tuple(found_outputs)}, expected {INPUTS} and {OUTPUTS}."
        )
    if found_outputs["rotation"][-1] != COEFFICIENTS:
        raise ModelError(
            f"{name}: found {found_outputs['rotation'][-1]} rotation coefficients, expected {COEFFICIENTS}."
        )
