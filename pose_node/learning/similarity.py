"""Which motions leave a surface in place, wholly (its symmetry) or mostly (what a view may be confused with).

Four searches: rotations on a grid over SO(3), polished by point-to-plane registration of the surface with itself; axes
of revolution, as the slippable motions of the surface (Gelfand and Guibas, SGP 2004), robust to a handle; equal steps
about an axis that are too fine for the grid (gears); and the closure of what was found into an exact group. Mirror images
are no motions and never appear.

What counts as a symmetry follows from what a depth camera at a metre tells from none, whatever the object's size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.geometry.se3 import angle, apply, exp_so3, invert, log_so3, transform
from pose_node.geometry.symmetry import Axis, Symmetry, nearest_symmetric, rotation_grid, turn
from pose_node.geometry.symmetry_group import generate, members
from pose_node.learning.mesh import Mesh
from pose_node.learning.render import raycasting_scene
from pose_node.objects.card import Surface

STRICT_REL = 0.02  # a symmetry moves 98 % of the surface by less than this share of the diameter
STRICT_MM = 2.5  # or by this, what meshes of small objects are scanned to, but never by more than 2.5 %
UNTOLD_MEAN_M, UNTOLD_P99_M = 0.0015, 0.006  # a depth camera at a metre cannot tell such motions from none
SEEN_M = 0.005  # what it tells: a patch as wide as this that moves by as much
OVERLAP_REL, MIN_OVERLAP = 0.03, 0.6  # "most of the surface in place", within UNTOLD_P99_M at most
MIN_VIEW_OVERLAP = 0.75  # or this much of what the tenth of the views that it suits best can see
MAX_CONFUSIONS = 12
_JUDGED = 4096  # samples whose movement is measured
_GRID = 4608
_STARTS = 160
_POLYHEDRAL = 60  # motions of the icosahedron: the largest group that the grid's motions generate
_SAME_RAD = np.radians(12.0)
_FINEST_RAD = np.radians(2.0)  # of the steps that are tried about an axis
_TEETH = 0.25  # equal steps move the surface by less than this share of what other turns about the axis do
_APART_RAD = np.radians(30.0)  # confusions nearer to each other than this are one: refinement goes between them
_NORMAL_WEIGHT_REL = 0.05
_FEW = 12  # motions that are named one by one
_TURNS = np.radians([20.0, 45.0, 72.0, 90.0, 120.0, 144.0, 180.0, 225.0, 270.0, 330.0])


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """A motion of the object frame and what it does to the surface.

    p98_m: 98th percentile of how far the surface moves off itself, there and back; mean_m, p99_m likewise.
    visible: the same as a share of what a symmetry may do: above 1 a depth camera sees the difference.
    overlap: share of the surface that stays within 3 % of the diameter (6 mm at most), facing the same way.
    view_overlap: the same for what a view sees, in the tenth of the views in which it is largest.
    """

    T: Array
    mean_m: float
    p98_m: float
    p99_m: float
    visible: float
    overlap: float
    view_overlap: float


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """What the search found: the symmetry, what it may be confused with, and the worst deviation of each kept motion."""

    symmetry: Symmetry
    motions: tuple[Motion, ...]
    confusions: tuple[Motion, ...]
    confusion_axes: tuple[Axis, ...]
    axis_motions: tuple[Motion, ...] = ()


def find_similarity(mesh: Mesh, surface: Surface, declared: Symmetry | None = None) -> Similarity:
    """Search the symmetry (or take the declared one) and the confusions of a surface; deterministic."""
    probe = Probe(mesh, surface)
    candidates = _polished_grid(probe)
    axes = _axes_of_revolution(probe, candidates)
    if declared is None:
        symmetry, motions = _symmetry(probe, candidates, axes)
    else:
        symmetry, motions = declared, tuple(probe.judge(T) for T in declared.discrete[1:])
    confusion_axes = () if symmetry.axes else tuple(a for a, worst in axes if worst.overlap >= MIN_OVERLAP)[:1]
    confusions = _confusions(probe, candidates, symmetry, confusion_axes)
    shown = [worst for a, worst in axes if any(a is b for b in (*symmetry.axes, *confusion_axes))]
    return Similarity(symmetry, motions, confusions, confusion_axes, tuple(shown))


class Probe:
    """A surface that can be asked how far a motion moves it off itself."""

    def __init__(self, mesh: Mesh, surface: Surface) -> None:
        self.diameter_m = mesh.diameter_m
        relative = max(STRICT_REL * mesh.diameter_m, min(STRICT_MM / 1000.0, 0.025 * mesh.diameter_m))
        self.tolerance_m = min(relative, SEEN_M)
        self.overlap_m = min(OVERLAP_REL * mesh.diameter_m, UNTOLD_P99_M)
        self.points, self.normals = surface.points_m, surface.normals
        self.centre = self.points.mean(axis=0)
        self.vertices_m = mesh.vertices_m
        self._views = surface.visible / np.maximum(surface.visible.sum(axis=1, keepdims=True), 1)
        self._weight = _NORMAL_WEIGHT_REL * mesh.diameter_m
        self._fine = cKDTree(np.hstack([self.points, self._weight * self.normals]))
        self._coarse = cKDTree(np.hstack([self.points, self._weight * self.normals])[:2048])
        self._scene = raycasting_scene(mesh.vertices_m, mesh.faces)
        a, b, c = self._corners = mesh.vertices_m[mesh.faces].transpose(1, 0, 2)
        self._area_m2 = 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())

    def distance(self, points: Array) -> Array:
        """Distance [...] in metres of points [..., 3] from the mesh."""
        return self._scene.compute_distance(np.ascontiguousarray(points, dtype=np.float32), nthreads=1).numpy()

    def match(self, T: Array, count: int, fine: bool = True) -> tuple[Array, Array, Array, Array]:
        """The first ``count`` samples moved by T, their normals, and the samples that they come to lie on, with theirs."""
        p, n = apply(T, self.points[:count]), self.normals[:count] @ T[:3, :3].T
        _, index = (self._fine if fine else self._coarse).query(np.hstack([p, self._weight * n]))
        return p, n, self.points[index], self.normals[index]

    def in_place(self, T: Array, count: int) -> Array:
        """Which of the first ``count`` samples T leaves on the surface, facing the same way."""
        p, n, q, m = self.match(T, count)
        gap = p - q
        near = np.abs(np.einsum("ij,ij->i", gap, m)) < self.overlap_m
        # along the surface, samples of a large part are farther from each other than it may move off it
        near &= np.einsum("ij,ij->i", gap, gap) < (2 * OVERLAP_REL * self.diameter_m) ** 2
        return near & (np.einsum("ij,ij->i", n, m) > 0.7)

    def overlap(self, T: Array, count: int = 1500) -> float:
        return float(np.mean(self.in_place(T, count)))

    def judge(self, T: Array) -> Motion:
        """There and back: a motion that hides a handle inside the body must not pass."""
        there, back = (self.distance(apply(M, self.points[:_JUDGED])) for M in (T, invert(T)))
        worst = np.maximum(np.percentile(there, (98, 99)), np.percentile(back, (98, 99)))
        mean = float(max(there.mean(), back.mean()))
        visible = max(self._visible(T, moved) for moved in (there, back))
        stays = [self.in_place(M, self._views.shape[1]) for M in (T, invert(T))]
        overlap = float(min(s.mean() for s in stays))
        view_overlap = float(np.percentile(self._views @ stays[0], 90))
        return Motion(T, mean, float(worst[0]), float(worst[1]), visible, overlap, view_overlap)

    def _visible(self, T: Array, moved_m: Array) -> float:
        """How plainly a depth camera sees that samples moved by ``moved_m`` [N]: the largest of three shares of a limit.

        Nearly all of the surface: the tolerance. The mean: what no camera tells, and no more than a share of what the
        motion turns, which is a bar's width and not its length. And a patch that stands out from that mean.
        """
        mean = float(moved_m.mean())
        about = log_so3(T[:3, :3])
        lever = np.cross(self.points - self.centre, about / max(float(np.linalg.norm(about)), 1e-12))
        width = 2.0 * float(np.linalg.norm(lever, axis=1).max())
        patch = int(SEEN_M**2 / self._area_m2 * len(moved_m))  # samples on it
        return max(
            float(np.percentile(moved_m, 98)) / self.tolerance_m,
            mean / min(UNTOLD_MEAN_M, STRICT_REL * width),
            (float(np.sort(moved_m)[-1 - patch]) - mean) / (SEEN_M - UNTOLD_MEAN_M),
        )

    def moved(self, T: Array, count: int = 600) -> Array:
        """95th percentile [N] of how far motions [N, 4, 4] move the first samples off the surface, in metres."""
        return np.percentile(self.distance(apply(T, self.points[:count])), 95, axis=-1)

    def moments(self) -> tuple[Array, Array]:
        """The centre [3] of the mesh's surface and its second moments [3, 3] about it."""
        a, b, c = self._corners
        weight = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        weight /= weight.sum()
        centre = weight @ (a + b + c) / 3.0
        a, b, c = a - centre, b - centre, c - centre
        sums = sum((weight[:, None] * p).T @ p for p in (a, b, c, a + b + c))
        return centre, np.asarray(sums) / 12.0

    def polish(self, T: Array, scales_rel: Iterable[float], count: int, fine: bool) -> Array:
        """Register the surface with itself from T: robust point-to-plane steps with the given scales, in diameters."""
        for scale_rel in scales_rel:
            p, n, q, m = self.match(T, count, fine)
            residual = np.einsum("ij,ij->i", q - p, m)
            gap = np.einsum("ij,ij->i", q - p, q - p)
            scale = scale_rel * self.diameter_m
            weight = (np.einsum("ij,ij->i", n, m) > 0.3) / (1.0 + gap / scale**2) ** 2
            lever = (p - self.centre) / self.diameter_m
            rows = np.hstack([m, np.cross(lever, m)])
            system = (rows * weight[:, None]).T @ rows
            # a little damping keeps slippable directions where they are
            step = np.linalg.solve(system + 1e-4 * np.trace(system) / 6 * np.eye(6), rows.T @ (weight * residual))
            R = exp_so3(step[3:] / self.diameter_m)
            T = transform(R, self.centre + step[:3] - R @ self.centre) @ T
        return T


def _polished_grid(probe: Probe) -> list[Motion]:
    """Local bests of the overlap of the surface with itself over all rotations, best first; near the identity none."""
    grid = rotation_grid(_GRID)
    scores, starts = [], []
    box = 0.5 * (probe.points.min(axis=0) + probe.points.max(axis=0))
    field = _DistanceField(probe)
    for centre in (probe.centre, box):
        T = transform(grid, centre - grid @ centre)
        scores.append(np.array([field.score(M) for M in T]))
        starts.append(T)
    T, score = np.concatenate(starts), np.concatenate(scores)
    T = T[np.argsort(score, kind="stable")]
    T = T[angle(T[:, :3, :3]) > _SAME_RAD]
    coarse = [probe.polish(M, np.linspace(0.12, 0.04, 12), 400, fine=False) for M in _spread(T, _SAME_RAD, _STARTS)]
    coarse = sorted(coarse, key=lambda M: -probe.overlap(M, 400))
    kept = [M for M in _spread(np.stack(coarse), _SAME_RAD / 2, 48) if probe.overlap(M, 400) > MIN_OVERLAP - 0.2]
    fine = [probe.polish(M, (0.04, 0.03, 0.025, 0.02, 0.02, 0.02), 1500, fine=True) for M in kept]
    fine = sorted(fine, key=lambda M: -probe.overlap(M))
    if not fine:
        return []
    return [probe.judge(M) for M in _spread(np.stack(fine), _SAME_RAD / 2, 48) if angle(M[:3, :3]) > _SAME_RAD]


class _DistanceField:
    """Distances from the surface on a grid: coarse, but thousands of motions a second."""

    def __init__(self, probe: Probe, cells: int = 48) -> None:
        pad = 0.1 * probe.diameter_m
        low, high = probe.points.min(axis=0) - pad, probe.points.max(axis=0) + pad
        self._low, self._step, self._cells = low, (high - low) / (cells - 1), cells
        lines = [np.linspace(low[i], high[i], cells) for i in range(3)]
        self._values = np.minimum(probe.distance(np.stack(np.meshgrid(*lines, indexing="ij"), -1)), pad).ravel()
        self._points, self._far = probe.points[:500], pad

    def score(self, T: Array) -> float:
        """Mean distance, cut off at a tenth of the diameter."""
        cell = np.rint((apply(T, self._points) - self._low) / self._step).astype(np.intp)
        inside = ((cell >= 0) & (cell < self._cells)).all(axis=1)
        i, j, k = cell[inside].T
        near = self._values[(i * self._cells + j) * self._cells + k].sum()
        return float(near + self._far * (~inside).sum()) / len(self._points)


def _spread(T: Array, apart_rad: float, limit: int) -> list[Array]:
    """The first of T [N, 4, 4] and every next one whose rotation is ``apart_rad`` from all kept before."""
    kept: list[Array] = []
    rotations = np.empty((0, 3, 3))
    for M in T:
        if len(kept) == limit:
            break
        # trace = 1 + 2 cos(angle)
        if not len(kept) or np.einsum("nij,ij->n", rotations, M[:3, :3]).max() < 1 + 2 * np.cos(apart_rad):
            kept.append(M)
            rotations = np.concatenate([rotations, M[None, :3, :3]])
    return kept


def _axes_of_revolution(probe: Probe, candidates: Sequence[Motion]) -> list[tuple[Axis, Motion]]:
    """Lines about which all (or most) of the surface is round, each with its worst turn, best first."""
    _, directions = np.linalg.eigh(np.cov((probe.points - probe.centre).T))
    turned = [log_so3(c.T[:3, :3]) for c in candidates[:24]]
    starts = [*directions.T, *(w / np.linalg.norm(w) for w in turned)]
    found: list[tuple[Axis, Motion]] = []
    for start in starts:
        axis = _slippable(probe, start)
        if any(abs(axis.direction @ a.direction) > np.cos(np.radians(5.0)) for a, _ in found):
            continue
        quick = min(probe.overlap(turn(axis, a), 400) for a in _TURNS)
        if quick < MIN_OVERLAP - 0.1:
            continue
        turns = [probe.judge(turn(axis, a)) for a in _TURNS]
        worst = Motion(np.eye(4), *(max(getattr(t, k) for t in turns) for k in ("mean_m", "p98_m", "p99_m", "visible")),
                       *(min(getattr(t, k) for t in turns) for k in ("overlap", "view_overlap")))  # fmt: skip
        found.append((axis, worst))
    return sorted(found, key=lambda entry: -entry[1].overlap)


def _slippable(probe: Probe, direction: Array) -> Axis:
    """The line near ``direction`` about which a turn moves most of the surface within itself.

    Minimises sum w (n . (d x p + v))^2 over unit d and v, re-weighted so that a handle is left out of account.
    """
    p = (probe.points[:2048] - probe.centre) / probe.diameter_m
    n = probe.normals[:2048]
    rows = np.hstack([np.cross(p, n), n])
    d, v = direction, np.zeros(3)
    for scale in (0.3, 0.3, 0.2, 0.2, 0.15, 0.1, 0.1, 0.1, 0.07, 0.07, 0.07, 0.07):
        residual = rows[:, :3] @ d + rows[:, 3:] @ v
        weight = 1.0 / (1.0 + (residual / scale) ** 2) ** 2
        M = (rows * weight[:, None]).T @ rows / weight.sum()
        slide = np.linalg.solve(M[3:, 3:] + 1e-6 * np.eye(3), M[3:, :3])
        _, vectors = np.linalg.eigh(M[:3, :3] - M[:3, 3:] @ slide)
        # stay on the branch that we came on: the best of the three is often another axis
        d_next = vectors[:, 0] if abs(vectors[:, 0] @ d) > 0.7 else vectors[:, np.argmax(np.abs(vectors.T @ d))]
        d = d_next * np.sign(d_next @ d)
        v = -slide @ d
        v = v - (v @ d) * d
    d = d if d[np.argmax(np.abs(d))] > 0 else -d
    origin = probe.centre + probe.diameter_m * np.cross(d, v * (1 if d @ direction >= 0 else -1))
    # of all points of the line, the one beside the middle of the object is the easiest to recognise
    along = probe.vertices_m @ d
    middle = 0.5 * (along.min() + along.max())
    return Axis(d, origin + (middle - origin @ d) * d)


def _symmetry(
    probe: Probe, candidates: Sequence[Motion], axes: Sequence[tuple[Axis, Motion]]
) -> tuple[Symmetry, tuple[Motion, ...]]:
    round_axes = [a for a, worst in axes if worst.visible <= 1.0]
    ball = _ball(probe)
    if ball is not None:
        return Symmetry(np.eye(4)[None], ball), ()
    steps = _equal_steps(probe, [*_axis_of_mass(probe), *(a for a, _ in axes)])
    if steps is not None:
        return Symmetry(steps), tuple(probe.judge(T) for T in steps[1:])
    if round_axes:
        flip = _flip(probe, round_axes[0])
        discrete = np.eye(4)[None] if flip is None else np.stack([np.eye(4), flip.T])
        return Symmetry(discrete, (round_axes[0],)), () if flip is None else (flip,)
    strict = sorted((c for c in candidates if c.visible <= 1.1), key=lambda c: c.p98_m)
    group = np.eye(4)[None]
    for motion in strict:
        if members(group, motion.T[None, :3, :3], _SAME_RAD)[0] >= 0:
            continue
        larger = generate([*group[1:], motion.T], probe.centre, _SAME_RAD, _POLYHEDRAL)
        if larger is not None and all(probe.judge(T).visible <= 1.0 for T in larger[1:]):
            group = larger
    return Symmetry(group), tuple(probe.judge(T) for T in group[1:])


def _axis_of_mass(probe: Probe) -> list[Axis]:
    """The axis that anything of three equal steps or more has: of the surface's moments of inertia, the odd one out."""
    centre, moments = probe.moments()
    size, directions = np.linalg.eigh(moments)
    near, far = sorted(((size[1] - size[0], 2), (size[2] - size[1], 0)))
    direction = directions[:, near[1]]
    direction = direction * np.sign(direction[np.argmax(np.abs(direction))])
    return [Axis(direction, centre)] if near[0] < 0.1 * far[0] else []


def _equal_steps(probe: Probe, axes: Sequence[Axis]) -> Array | None:
    """The exact group [D, 4, 4], identity first, of a part with many equal steps about an axis (a gear), with the half-turns
    that swap its ends where it has them; None where no axis has any finer than what the grid tells apart.

    A step must keep the surface much better than turns by half of it do: else the part is round, or the step too fine. So
    are the facets of a round part no steps: no turn moves them by more than the chord's height above the arc.
    """
    for axis in axes:
        turns = probe.moved(turn(axis, (np.arange(2 * np.pi / _FINEST_RAD) + 0.5) * _FINEST_RAD))
        worst_m = float(turns.max())
        limit_m = min(_TEETH * worst_m, probe.tolerance_m)
        lever = np.linalg.norm(np.cross(probe.points - axis.origin_m, axis.direction), axis=1).max()
        for fold in range(int(2 * np.pi / _FINEST_RAD), int(np.pi / _SAME_RAD), -1):
            if worst_m < 2 * lever * (1 - np.cos(np.pi / fold)):
                continue
            angles = np.random.default_rng(fold).permutation(np.arange(1, fold // 2 + 1)) * (2 * np.pi / fold)
            if all(probe.moved(turn(axis, a)[None])[0] <= limit_m for a in angles):
                group = turn(axis, np.arange(fold) * (2 * np.pi / fold))
                if all(probe.judge(T).visible <= 1.0 for T in group[1 : fold // 2 + 1]):
                    return _with_flips(probe, axis, group, limit_m)
    return None


def _with_flips(probe: Probe, axis: Axis, group: Array, limit_m: float) -> Array:
    """The turns ``group`` [N, 4, 4] about an axis, and the N half-turns across it if they keep the surface as well."""
    ends = probe.vertices_m @ axis.direction
    origin = axis.origin_m + (0.5 * (ends.min() + ends.max()) - axis.origin_m @ axis.direction) * axis.direction
    across = np.cross(axis.direction, np.eye(3)[np.argmin(np.abs(axis.direction))])
    across /= np.linalg.norm(across)
    step = np.pi / len(group)  # half-turns about lines this far from each other differ by a turn of the group

    def flips(angles: Array) -> Array:
        lines = exp_so3(angles[:, None] * axis.direction) @ across
        return np.stack([turn(Axis(line, origin), np.pi) for line in lines])

    angle_rad, reach = 0.0, step
    for _ in range(4):
        angles = angle_rad + np.linspace(-0.5, 0.5, 17) * reach
        angle_rad, reach = angles[np.argmin(probe.moved(flips(angles)))], reach / 8
    flip = flips(np.array([angle_rad]))
    if probe.moved(flip)[0] > limit_m or probe.judge(flip[0]).visible > 1.0:
        return group
    return np.concatenate([group, group @ flip])


def _ball(probe: Probe) -> tuple[Axis, ...] | None:
    """Three axes through the centre if the surface is a sphere."""
    rows = np.hstack([2 * probe.points, np.ones((len(probe.points), 1))])
    solution = np.linalg.lstsq(rows, np.sum(probe.points**2, axis=1), rcond=None)[0]
    centre = solution[:3]
    radius = np.linalg.norm(probe.points - centre, axis=1)
    # a turned point may have stood in any other's place: twice the deviation from the mean radius
    if 2 * np.percentile(np.abs(radius - np.median(radius)), 98) > probe.tolerance_m:
        return None
    axes = tuple(Axis(direction, centre) for direction in np.eye(3))
    return axes if all(probe.judge(turn(a, t)).visible <= 1.0 for a in axes for t in _TURNS[::3]) else None


def _flip(probe: Probe, axis: Axis) -> Motion | None:
    """The half-turn that swaps the ends of a round object, if there is one."""
    across = np.cross(axis.direction, np.eye(3)[np.argmin(np.abs(axis.direction))])
    across /= np.linalg.norm(across)
    for origin in (axis.origin_m, axis.origin_m + ((probe.centre - axis.origin_m) @ axis.direction) * axis.direction):
        motion = probe.judge(turn(Axis(across, origin), np.pi))
        if motion.visible <= 1.0:
            return motion
    return None


def _confusions(
    probe: Probe, candidates: Sequence[Motion], symmetry: Symmetry, axes: Sequence[Axis]
) -> tuple[Motion, ...]:
    """Motions that keep most of the surface, or that depth cannot tell from none; one of each class up to symmetry."""
    if len(symmetry.axes) > 1:
        return ()
    same = Symmetry(symmetry.discrete, (*symmetry.axes, *axes)[:1])
    kept: list[Motion] = []

    def known(T: Array) -> bool:
        near = [nearest_symmetric(T, M, same) for M in (np.eye(4), *(k.T for k in kept))]
        apart = [angle(T[:3, :3].T @ M[:3, :3]) for M in near]
        return min(apart) < _APART_RAD

    for c in sorted(candidates, key=lambda c: -c.overlap):
        untold = c.mean_m <= UNTOLD_MEAN_M and c.p99_m <= UNTOLD_P99_M
        alike = c.overlap >= MIN_OVERLAP or c.view_overlap >= MIN_VIEW_OVERLAP
        if (alike or untold) and not known(c.T) and len(kept) < MAX_CONFUSIONS:
            kept.append(c)
    return tuple(kept)


def describe(T: Array) -> str:
    """A motion in words: "180 deg about (0.00, 0.00, 1.00)"."""
    w = log_so3(T[:3, :3])
    degrees = float(np.degrees(np.linalg.norm(w)))
    direction = w / max(float(np.linalg.norm(w)), 1e-12)
    if degrees > 179.0 and direction[np.argmax(np.abs(direction))] < 0:
        direction = -direction  # a half-turn is the same about either
    return f"{degrees:.0f} deg about {in_words(direction)}"


def symmetry_words(similarity: Similarity) -> list[str]:
    """The symmetry in words: each motion, or where there are many each axis with its order."""
    symmetry = similarity.symmetry
    if len(symmetry.axes) > 1:
        return ["a ball: any rotation about its centre"]
    words = [f"any turn about {in_words(a.direction)}" for a in symmetry.axes]
    if len(symmetry.discrete) <= _FEW:
        return words + [describe(T) for T in symmetry.discrete[1:]]
    count = f"{len(symmetry.discrete)} motions, the identity among them"
    lines = fold_axes(symmetry)
    for order in dict.fromkeys(order for order, _, _ in lines):
        same = [in_words(direction) for n, _, direction in lines if n == order]
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        words.append(f"{order}-fold about {same[0]}{more}")
    return [*words, count]


def fold_axes(symmetry: Symmetry) -> list[tuple[int, Array, Array]]:
    """The lines about which the discrete symmetries turn, each with its order: (order, a point on it [3], direction [3]),
    the highest order first."""
    found: list[tuple[int, Array, Array]] = []
    for T in symmetry.discrete[1:]:
        w = log_so3(T[:3, :3])
        turn_rad = float(np.linalg.norm(w))
        d = w / turn_rad
        order = round(2 * np.pi / turn_rad)
        # different axes of a group with a line of order n are pi / n apart at least
        near = np.cos(0.5 * np.pi / max(2, len(symmetry.discrete)))
        for i, (other_order, point, other) in enumerate(found):
            if abs(other @ d) > near:
                found[i] = (max(other_order, order), point, other)
                break
        else:
            point = np.linalg.lstsq(np.eye(3) - T[:3, :3], T[:3, 3], rcond=None)[0]
            found.append((order, point, d))
    return sorted(found, key=lambda line: -line[0])


def in_words(direction: Array) -> str:
    """A direction with two digits, and no minus zeros."""
    return f"({', '.join(f'{x:.2f}' for x in np.round(direction, 2) + 0.0)})"
