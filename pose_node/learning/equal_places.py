"""Distances between places on an object up to its symmetry, for all pairs of many places at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pose_node.geometry.symmetry import Symmetry, is_ball

_ON_AXIS_REL = 0.02  # nearer to a symmetry axis, in diameters, a place has no azimuth


@dataclass(frozen=True)
class Pairs:
    """C measured places against E entries of a bank.

    apart:  [C, E] smallest distance in diameters up to symmetry.
    facing: [C, E] whether the entry was seen from the side that the measured surface faces, which tells the two sides of a thin
            wall apart.
    """

    apart: Tensor
    facing: Tensor
    _motion: Tensor
    _equal: EqualPlaces
    _places: Tensor
    _entries: Tensor

    def turned(self, vectors: Tensor, rows: Tensor) -> Tensor:
        """vectors [C, V, 3] in the object's axes, turned by the symmetry that brings each place nearest to its entry ``rows`` [C]."""
        motion = self._motion.gather(1, rows.unsqueeze(1)).squeeze(1)
        R = self._equal.R[motion]  # p = S q, so S^-1 takes a measured place p to its entry q
        vectors, places = vectors @ R, (self._places.unsqueeze(1) @ R).squeeze(1)
        return self._equal.about_axis(vectors, places, self._entries[rows])


class EqualPlaces:
    """The places that an object's symmetry makes equal; lengths in diameters, relative to the card's centre, which stays in place.

    R: [D, 3, 3] the discrete symmetries' rotations.
    """

    def __init__(self, symmetry: Symmetry) -> None:
        self.R = torch.tensor(symmetry.discrete[:, :3, :3], dtype=torch.float32)
        self.ball = is_ball(symmetry)
        self.axis = torch.tensor(symmetry.axes[0].direction, dtype=torch.float32) if symmetry.axes else None

    def pairs(self, places: Tensor, normals: Tensor, entries: Tensor, towards: Tensor) -> Pairs:
        """places, normals [C, 3] measured; entries, towards [E, 3]: places of the bank, and the directions they were seen from."""
        there, seen = self._coordinates(entries, entries), self._coordinates(entries, towards)
        apart = motion = facing = None
        for number, R in enumerate(self.R):
            mine, mine_normals = places @ R, normals @ R
            distance = torch.cdist(self._coordinates(mine, mine), there)
            front = self._coordinates(mine, mine_normals) @ seen.T > 0
            if apart is None or motion is None or facing is None:
                apart, facing, motion = distance, front, torch.zeros_like(distance, dtype=torch.uint8)
                continue
            # A motion that turns the surface away counts only if all do.
            better = (front & ~facing) | ((front == facing) & (distance < apart))
            apart, facing = torch.where(better, distance, apart), facing | front
            motion.masked_fill_(better, number)
        assert apart is not None and motion is not None and facing is not None
        return Pairs(apart, facing, motion.long(), self, places, entries)

    def _coordinates(self, places: Tensor, vectors: Tensor) -> Tensor:
        """Components of ``vectors`` [N, 3] that the continuous symmetry leaves as they are, in the frame that goes round with
        ``places`` [N, 3]: along the radius, around, and along the axis."""
        if self.ball:
            return (vectors * torch.nn.functional.normalize(places, dim=1)).sum(1, keepdim=True)
        if self.axis is None:
            return vectors
        radial = torch.nn.functional.normalize(places - (places @ self.axis).unsqueeze(1) * self.axis, dim=1)
        around = torch.linalg.cross(self.axis.expand_as(radial), radial)
        return torch.stack([(vectors * radial).sum(1), (vectors * around).sum(1), vectors @ self.axis], dim=1)

    def about_axis(self, vectors: Tensor, places: Tensor, entries: Tensor) -> Tensor:
        """vectors [C, V, 3] turned about the axis by the angle from ``places`` to ``entries`` [C, 3]; a ball's are not turned."""
        if self.axis is None or self.ball:
            return vectors
        u = self.axis
        p, q = (x - (x @ u).unsqueeze(1) * u for x in (places, entries))
        cosine, sine = (p * q).sum(1), torch.linalg.cross(p, q) @ u
        length = torch.hypot(cosine, sine)
        clear = length > _ON_AXIS_REL**2
        cosine, sine = torch.where(clear, cosine / length, 1.0), torch.where(clear, sine / length, 0.0)
        c, s = cosine[:, None, None], sine[:, None, None]
        along = (vectors @ u).unsqueeze(2) * u
        return along + c * (vectors - along) + s * torch.linalg.cross(u.expand_as(vectors), vectors)
