"""An object's own network from top to bottom: three pose heads on an SO(3)-equivariant trunk.

Points and viewpoint are given in object diameters relative to the mean of the points (``pose_node.measurement.sampling``),
which makes the network equivariant to translations. The ONNX contract is the docstring of ``PoseNetwork.forward``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose_node.geometry.harmonics import COEFFICIENTS, MAX_DEGREE, solid_harmonics
from pose_node.learning.layers import (
    DegreeLinear,
    Norm,
    PointConvolution,
    ProductBlock,
    degree_slices,
    gather,
    reshape_tail,
)

WIDTH = 16  # channels of the fine level
COARSE_WIDTH = 24
COARSE_CENTRES = 32
POOL_WIDTH = 32  # channels of each degree of the global feature


class GlobalFeature(nn.Module):
    """One feature of the whole cloud, with degrees 0 to 4: weighted moments of positions, normals and point features."""

    def __init__(self, degrees: list[int]) -> None:
        super().__init__()
        self.weights = nn.Linear(WIDTH, 4 * WIDTH)
        self.mix_low = DegreeLinear([0, 1, 2], WIDTH, POOL_WIDTH)
        self.mix = DegreeLinear(degrees, 2 * WIDTH, POOL_WIDTH)
        self.blocks = nn.Sequential(ProductBlock(degrees, POOL_WIDTH), ProductBlock(degrees, POOL_WIDTH))
        self.norm = Norm(degrees, POOL_WIDTH)
        self.low = 9

    def forward(self, points: Tensor, normals: Tensor, features: Tensor) -> Tensor:
        """points, normals [B, M, 3], features [B, M, 9, C] -> [B, 25, POOL_WIDTH]."""
        weights = self.weights(features[:, :, 0])
        attention = torch.softmax(weights[..., : 2 * WIDTH], dim=1)
        amplitude = attention * weights[..., 2 * WIDTH :]
        length = torch.sqrt(points.square().sum(-1, keepdim=True) + 1e-6)
        at_points, at_normals = _harmonics(points / length), _harmonics(normals)  # [B, M, 25]
        moments = torch.cat(
            [
                at_points.transpose(1, 2) @ (amplitude[..., :WIDTH] * length),
                at_normals.transpose(1, 2) @ amplitude[..., WIDTH:],
            ],
            dim=-1,
        )
        pooled = (features * attention[..., :WIDTH].unsqueeze(2)).sum(1)
        start = self.mix(3.0 * moments)
        low = start[:, : self.low] + self.mix_low(pooled)
        return self.norm(self.blocks(torch.cat([low, start[:, self.low :]], dim=1)))


def _harmonics(directions: Tensor) -> Tensor:
    x, y, z = directions.unbind(-1)
    return torch.stack([c for row in solid_harmonics(x, y, z, MAX_DEGREE) for c in row], dim=-1)


class PoseNetwork(nn.Module):
    """Trunk, global feature and three heads: a density over SO(3), votes of the points, canonical coordinates."""

    def __init__(self) -> None:
        super().__init__()
        low, high = [0, 1, 2], list(range(MAX_DEGREE + 1))
        self.from_points = PointConvolution([0, 1], 2, WIDTH, radius=0.12)
        self.from_centres = PointConvolution([0, 1], 2, WIDTH, radius=0.3)
        self.fine = ProductBlock(low, WIDTH)
        self.down = PointConvolution(low, WIDTH, COARSE_WIDTH, radius=0.4)
        self.coarse = ProductBlock(low, COARSE_WIDTH)
        self.around = PointConvolution(low, COARSE_WIDTH, COARSE_WIDTH, radius=1.0, neighbours=COARSE_CENTRES, radial=3)
        self.around_blocks = nn.Sequential(ProductBlock(low, COARSE_WIDTH), ProductBlock(low, COARSE_WIDTH))
        self.narrow = DegreeLinear(low, COARSE_WIDTH, WIDTH)
        self.up = PointConvolution(low, WIDTH, WIDTH, radius=0.35, neighbours=16, radial=2)
        self.skip = DegreeLinear(low, WIDTH, WIDTH)
        self.up_block = ProductBlock(low, WIDTH)
        self.norm = Norm(low, WIDTH)
        self.pool = GlobalFeature(high)

        invariants = 3 * WIDTH + POOL_WIDTH
        self.read = nn.Sequential(nn.Linear(invariants, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU())
        self.objectness = nn.Linear(96, 1)
        self.coordinates = nn.Linear(96, 3)
        self.spread = nn.Linear(96, 1)
        self.vector_gate = nn.Linear(96, WIDTH)
        self.vectors = nn.Linear(WIDTH, 3, bias=False)  # offset and two axes, each a degree-1 channel
        self.centre = nn.Linear(POOL_WIDTH, 1, bias=False)
        self.rotation = nn.ParameterList(
            [nn.Parameter(0.1 * torch.randn(POOL_WIDTH, 2 * degree + 1)) for degree in high]
        )

    def forward(
        self, points: Tensor, normals: Tensor, viewpoint: Tensor, centres: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """B clouds of N points, with M >= 32 centres among them in farthest-point order; lengths in object diameters.

        points [B, N, 3], normals [B, N, 3], viewpoint [B, 3], centres [B, M] int64 ->
        objectness [B, M]      logit that the centre lies on the object               invariant
        offsets [B, M, 3]      from the centre point to the object's centre            vectors
        frames [B, M, 2, 3]    directions of the object's x and y axes, not normalised vectors
        coordinates [B, M, 3]  the point in the object frame about the object's centre invariant
        spreads [B, M]         log of the expected error of the coordinates            invariant
        centre [B, 3]          from the origin to the object's centre                  vector
        rotation [B, 165]      coefficients of the log density over SO(3), see ``pose_node.geometry.harmonics``
        """
        towards = viewpoint.unsqueeze(1) - points
        towards = towards * torch.rsqrt(towards.square().sum(-1, keepdim=True) + 1e-9)
        facing = (towards * normals).sum(-1, keepdim=True)
        ones = torch.ones_like(facing)
        scalars = torch.stack([ones, facing], dim=-1)  # [B, N, 1, 2]
        vectors = torch.stack([normals, towards], dim=-1)[..., [1, 2, 0], :]  # degree 1 is ordered (y, z, x)
        signal = torch.cat([scalars, vectors], dim=2)  # [B, N, 4, 2]

        fine_points = gather(points, centres.unsqueeze(-1)).squeeze(2)
        fine_signal = reshape_tail(gather(reshape_tail(signal, 2, -1), centres.unsqueeze(-1)), 2, 4, 2)
        fine_normals = fine_signal[..., [3, 1, 2], 0]
        coarse_points = fine_points[:, :COARSE_CENTRES]

        fine = self.from_points(points, signal, fine_points) + self.from_centres(fine_points, fine_signal, fine_points)
        fine = self.fine(fine)
        coarse = self.coarse(self.down(fine_points, fine, coarse_points))
        coarse = self.around_blocks(coarse + self.around(coarse_points, coarse, coarse_points))
        up = self.up_block(self.up(coarse_points, self.narrow(coarse), fine_points) + self.skip(fine))
        features = self.norm(up)
        whole = self.pool(fine_points, fine_normals, features)

        lengths = [features[:, :, 0]]
        for s in degree_slices([0, 1, 2])[1:]:
            lengths.append(torch.sqrt(features[:, :, s].square().sum(2) + 1e-6))
        # One copy for each centre; expand() would fix their number at export.
        shared = whole[:, :1] + 0.0 * features[:, :, 0, :1]
        read = self.read(torch.cat([*lengths, shared], dim=-1))

        steered = features[:, :, 1:4] * self.vector_gate(read).unsqueeze(2)
        directed = self.vectors(steered)[:, :, [2, 0, 1]].transpose(-1, -2)  # [B, M, 3 vectors, (x, y, z)]
        rotation = torch.cat(
            [
                (whole[:, s].transpose(1, 2).unsqueeze(2) * w.unsqueeze(-1)).sum(1).flatten(1)
                for s, w in zip(degree_slices(list(range(MAX_DEGREE + 1))), self.rotation, strict=True)
            ],
            dim=1,
        )
        if rotation.shape[1] != COEFFICIENTS:
            raise AssertionError(f"rotation head: found {rotation.shape[1]} coefficients, expected {COEFFICIENTS}")
        return (
            self.objectness(read).squeeze(-1),
            directed[:, :, 0],
            directed[:, :, 1:],
            self.coordinates(read),
            self.spread(read).squeeze(-1),
            self.centre(whole[:, 1:4])[:, [2, 0, 1], 0],
            rotation,
        )
