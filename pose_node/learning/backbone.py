"""The backbone: one SO(3)-equivariant network for all objects, which describes each place on a measured surface.

Each of the cloud's centres gets a descriptor, which a motion of the camera leaves as it is, and eight vectors, which turn with
the cloud. Matched to a place on a rendered view of an object (the object's bank), the vectors of both give the object's
rotation: one match is a full pose. (Equivariant vectors make a single correspondence a pose in Yao et al., "PARE-Net",
ECCV 2024, too.)

Points and viewpoint are given in object diameters relative to the mean of the points (``pose_node.measurement.sampling``),
which makes the network equivariant to translations. The ONNX contract is the docstring of ``Backbone.forward``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose_node.learning.layers import (
    DegreeLinear,
    Norm,
    PointConvolution,
    ProductBlock,
    degree_slices,
    gather,
    reshape_tail,
)
from pose_node.objects.bank import DESCRIPTOR, VECTORS

WIDTH = 16  # channels of the fine level
COARSE_WIDTH = 24
COARSE_CENTRES = 32
_READ_WIDTH = 96


class Backbone(nn.Module):
    """Two levels of equivariant convolutions (128 centres, 32 coarse centres) and three heads for each centre."""

    def __init__(self) -> None:
        super().__init__()
        low = [0, 1, 2]
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
        self.up_blocks = nn.Sequential(ProductBlock(low, WIDTH), ProductBlock(low, WIDTH))
        self.norm = Norm(low, WIDTH)

        self.read = nn.Sequential(
            nn.Linear(3 * WIDTH, _READ_WIDTH), nn.SiLU(), nn.Linear(_READ_WIDTH, _READ_WIDTH), nn.SiLU()
        )
        self.descriptor = nn.Linear(_READ_WIDTH, DESCRIPTOR)
        self.quality = nn.Linear(_READ_WIDTH, 1)
        self.vector_gate = nn.Linear(_READ_WIDTH, WIDTH)
        self.vectors = nn.Linear(WIDTH, VECTORS, bias=False)
        # Of the match probability, softmax(similarity / temperature); learned with the descriptors.
        self.log_temperature = nn.Parameter(torch.tensor(-2.3))

    def forward(
        self, points: Tensor, normals: Tensor, viewpoint: Tensor, centres: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """B clouds of N >= 32 distinct points, with M >= 32 centres among them in farthest-point order; lengths in diameters.

        points [B, N, 3], normals [B, N, 3], viewpoint [B, 3], centres [B, M] int64 ->
        descriptors [B, M, 32]  of unit length                                                      invariant
        vectors [B, M, 8, 3]    what a match takes the rotation from                                 vectors
        quality [B, M]          logit that the best match in the bank of the right object is right   invariant
        """
        towards = viewpoint.unsqueeze(1) - points
        towards = towards * torch.rsqrt(towards.square().sum(-1, keepdim=True) + 1e-9)
        facing = (towards * normals).sum(-1, keepdim=True)
        scalars = torch.stack([torch.ones_like(facing), facing], dim=-1)  # [B, N, 1, 2]
        directions = torch.stack([normals, towards], dim=-1)[..., [1, 2, 0], :]  # degree 1 is ordered (y, z, x)
        signal = torch.cat([scalars, directions], dim=2)  # [B, N, 4, 2]

        fine_points = gather(points, centres.unsqueeze(-1)).squeeze(2)
        fine_signal = reshape_tail(gather(reshape_tail(signal, 2, -1), centres.unsqueeze(-1)), 2, 4, 2)
        coarse_points = fine_points[:, :COARSE_CENTRES]

        fine = self.from_points(points, signal, fine_points) + self.from_centres(fine_points, fine_signal, fine_points)
        fine = self.fine(fine)
        coarse = self.coarse(self.down(fine_points, fine, coarse_points))
        coarse = self.around_blocks(coarse + self.around(coarse_points, coarse, coarse_points))
        up = self.up_blocks(self.up(coarse_points, self.narrow(coarse), fine_points) + self.skip(fine))
        features = self.norm(up)

        lengths = [features[:, :, 0]]
        for s in degree_slices([0, 1, 2])[1:]:
            lengths.append(torch.sqrt(features[:, :, s].square().sum(2) + 1e-6))
        read = self.read(torch.cat(lengths, dim=-1))

        descriptor = self.descriptor(read)
        descriptor = descriptor * torch.rsqrt(descriptor.square().sum(-1, keepdim=True) + 1e-9)
        steered = features[:, :, 1:4] * self.vector_gate(read).unsqueeze(2)
        vectors = self.vectors(steered)[:, :, [2, 0, 1]].transpose(-1, -2)  # [B, M, 8, (x, y, z)]
        return descriptor, vectors, self.quality(read).squeeze(-1)
