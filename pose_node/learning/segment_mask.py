"""The imperfect segment of a rendered view: a ragged border, a part cut off, foreign points of whatever is near the object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.learning import noise_effects
from pose_node.learning.render import NOTHING, Shot
from pose_node.learning.scene import OBJECT
from pose_node.learning.view_settings import ViewSettings


def imperfect_mask(
    depth: NDArray, shot: Shot, mine: NDArray[np.bool_], K: Array, settings: ViewSettings, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], float]:
    """An imperfect mask [h, w] of the object, and its share of foreign points.

    depth [h, w] is the measured depth, ``shot`` the ideal image, mine [h, w] the object's pixels in it.
    """
    mask = _ragged(mine, settings.mask_error_px, rng)
    if rng.random() < settings.cut_share and mine.any():
        mask &= _cut(mine, rng.uniform(*settings.cut), rng)
    valid = depth > 0
    mask &= valid
    if rng.random() < settings.cluster_share:
        mask |= _foreign_patch(depth, shot, mask, mine, K, settings, rng)
    count = int(mask.sum())
    return mask, float((mask & ~mine).sum() / count) if count else 0.0


def _foreign_patch(
    depth: NDArray,
    shot: Shot,
    mask: NDArray[np.bool_],
    mine: NDArray[np.bool_],
    K: Array,
    settings: ViewSettings,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """A patch [h, w] of foreign pixels of the drawn size, grown in space from a point near the object."""
    share = rng.uniform(*settings.foreign)
    count = int(share / (1 - share) * (mask & mine).sum()) - int((mask & ~mine).sum())
    added = np.zeros(mask.size, bool)
    valid = depth > 0
    foreign = np.flatnonzero((~mine & ~mask & valid & (shot.ids != NOTHING)).ravel())
    own = np.flatnonzero((mine & valid).ravel())
    if count <= 0 or not len(foreign) or not len(own):
        return added.reshape(mask.shape)
    scale = np.array([1 / K[0, 0], 1 / K[1, 1]], np.float32)
    flat, ids = depth.ravel(), shot.ids.ravel()

    def positions(index: NDArray) -> NDArray:
        pixel = np.stack(np.divmod(index, mask.shape[1])[::-1], axis=1).astype(np.float32)
        z = flat[index]
        return np.column_stack([pixel * scale * z[:, None], z])

    clutter = ids[foreign] > OBJECT
    pool = foreign[clutter] if clutter.any() and (settings.foreign_clutter or rng.random() < 0.5) else foreign
    candidates = positions(pool)
    # Clusters merge where objects touch: grow from the foreign point nearest to any of a few object points.
    seeds = positions(own[rng.integers(len(own), size=16)])
    some = candidates[:: max(len(candidates) // 1500, 1)]
    apart = (some**2).sum(axis=1)[:, None] - 2 * some @ seeds.T + (seeds**2).sum(axis=1)[None, :]
    start = some[np.argmin(apart.min(axis=1))]
    reach = ((candidates - start) ** 2).sum(axis=1)
    near = pool[np.argpartition(reach, count - 1)[:count]] if count < len(pool) else pool
    added[near] = True
    rest = count - len(near)
    if rest > 0 and len(pool) < len(foreign):
        others = np.setdiff1d(foreign, pool, assume_unique=True)
        reach = ((positions(others) - start) ** 2).sum(axis=1)
        added[others[np.argpartition(reach, rest - 1)[:rest]] if rest < len(others) else others] = True
    return added.reshape(mask.shape)


def _ragged(mask: NDArray[np.bool_], error_px: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The mask with its border displaced by a smooth random amount, up to a few pixels to either side."""
    if error_px <= 0:
        return mask.copy()
    reach = int(np.ceil(1.5 * error_px))
    # The mean of the mask in a box around a pixel changes linearly across a straight border: a fast signed distance.
    inside = _box_mean(mask.astype(np.float32), reach)
    bias = rng.normal() * error_px * 0.6
    displacement = noise_effects.field(mask.shape, 7.0, rng) * np.float32(error_px * 0.5) + np.float32(bias)
    return inside + np.clip(displacement, -reach + 0.5, reach - 0.5) / np.float32(2 * reach + 1) > 0.5


def _box_mean(image: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Mean over a square of 2 reach + 1 pixels, with zeros outside.

    By hand: scipy.ndimage.uniform_filter rounds differently, and a seed must keep giving the same bytes.
    """
    size = 2 * reach + 1
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (reach + 1, reach)
        total = np.cumsum(np.pad(image, pad), axis=axis)
        high, low = [slice(None)] * 2, [slice(None)] * 2
        high[axis], low[axis] = slice(size, None), slice(None, -size)
        image = (total[tuple(high)] - total[tuple(low)]) / np.float32(size)
    return image


def _cut(mask: NDArray[np.bool_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A half plane [h, w] in a random direction that excludes ``share`` of the mask."""
    direction_rad = rng.uniform(0, 2 * np.pi)
    v, u = np.indices(mask.shape, dtype=np.float32)
    along = u * np.float32(np.cos(direction_rad)) + v * np.float32(np.sin(direction_rad))
    return along > np.quantile(along[mask], share)
