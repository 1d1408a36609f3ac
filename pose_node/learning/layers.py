"""SO(3)-equivariant layers on points, of which the networks are made.

The Clebsch-Gordan tensors are escnn's (``coupling_table``); the linear maps follow from Schur's lemma. The layers are ours,
because escnn has none for points: dense gathers of nearest neighbours instead of scatter, so that ONNX can express them.

Features are [B, N, 9, C]: C channels of each of the degrees 0, 1 and 2, stacked on the third axis (1 + 3 + 5). The tensor
products (Thomas et al., "Tensor field networks", 2018) use all paths, including those that change sign under reflection
(1 x 1 -> 1): the network is equivariant to rotations but not to reflections, so it distinguishes a part from its mirror image.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pose_node.geometry.harmonics import solid_harmonics
from pose_node.learning.coupling_table import clebsch_gordan

NEIGHBOURS = 24


def degree_slices(degrees: list[int]) -> list[slice]:
    """The components of each degree when blocks of 2l + 1 components are stacked."""
    ends = np.cumsum([2 * degree + 1 for degree in degrees])
    return [slice(int(end) - 2 * degree - 1, int(end)) for degree, end in zip(degrees, ends, strict=True)]


class DegreeLinear(nn.Module):
    """Linear map between the channels of each degree: [..., sum(2l + 1), C_in] -> [..., sum(2l + 1), C_out].

    The irreps of SO(3) are of real type, so Schur's lemma leaves one weight for each pair of channels.
    """

    def __init__(self, degrees: list[int], channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.slices = degree_slices(degrees)
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.randn(channels_in, channels_out) / channels_in**0.5) for _ in degrees]
        )
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def forward(self, features: Tensor) -> Tensor:
        parts = [features[..., s, :] @ w for s, w in zip(self.slices, self.weights, strict=True)]
        parts[0] = parts[0] + self.bias  # degree 0 is always the first
        return torch.cat(parts, dim=-2)


class TensorProduct(nn.Module):
    """Clebsch-Gordan products x (x) y -> degrees ``out``, then a linear combination of paths and channels.

    ``products`` [..., K, D_x * D_y] (K outer products of x and y) -> [..., sum(2l + 1), C_out].
    """

    tensor: Tensor

    def __init__(self, left: list[int], right: list[int], out: list[int], kinds: int, channels_out: int) -> None:
        super().__init__()
        columns: list[np.ndarray] = []
        self.paths: list[int] = []
        self.out = out
        for j in out:
            found = 0
            for left_slice, a in zip(degree_slices(left), left, strict=True):
                for right_slice, b in zip(degree_slices(right), right, strict=True):
                    if not abs(a - b) <= j <= a + b:
                        continue
                    block = np.zeros((sum(2 * x + 1 for x in left), sum(2 * x + 1 for x in right), 2 * j + 1))
                    # Component normalisation: products of unit-variance inputs keep unit variance.
                    cg = clebsch_gordan(a, b, j)
                    block[left_slice, right_slice] = cg * (2 * j + 1) ** 0.5 / np.linalg.norm(cg)
                    columns.append(block.reshape(-1, 2 * j + 1))
                    found += 1
            self.paths.append(found)
        self.register_buffer("tensor", torch.tensor(np.concatenate(columns, axis=1), dtype=torch.float32))
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.randn(kinds * n, channels_out) / (kinds * n) ** 0.5) for n in self.paths]
        )

    def forward(self, products: Tensor) -> Tensor:
        coupled = products @ self.tensor  # [..., K, sum(paths * (2l + 1))]
        parts, start = [], 0
        for degree, n, weight in zip(self.out, self.paths, self.weights, strict=True):
            width = 2 * degree + 1
            block = reshape_tail(coupled[..., start : start + n * width], 1, n, width)  # [..., K, n, 2l + 1]
            parts.append(reshape_tail(block, 3, -1, width).transpose(-1, -2) @ weight)
            start += n * width
        return torch.cat(parts, dim=-2)


class Norm(nn.Module):
    """Root-mean-square norm over components and channels of each degree, with a learned scale."""

    def __init__(self, degrees: list[int], channels: int) -> None:
        super().__init__()
        self.slices = degree_slices(degrees)
        self.scale = nn.Parameter(torch.ones(len(degrees), channels))

    def forward(self, features: Tensor) -> Tensor:
        parts = []
        for i, s in enumerate(self.slices):
            block = features[..., s, :]
            size = block.square().mean(dim=(-2, -1), keepdim=True)
            parts.append(block * torch.rsqrt(size + 1e-4) * self.scale[i])
        return torch.cat(parts, dim=-2)


class ProductBlock(nn.Module):
    """Residual block [..., D, C] -> same: norm, two linear maps, their tensor product, gates from the invariant channels."""

    def __init__(self, degrees: list[int], channels: int) -> None:
        super().__init__()
        right = degrees[:3]  # degrees 0, 1 and 2 couple all others, at a fraction of the cost
        self.dimension_right = sum(2 * degree + 1 for degree in right)
        self.repeats = [2 * degree + 1 for degree in degrees[1:]]
        self.norm = Norm(degrees, channels)
        self.left = DegreeLinear(degrees, channels, channels)
        self.right = DegreeLinear(right, channels, channels)
        self.couple = TensorProduct(degrees, right, degrees, channels, channels)
        self.linear = DegreeLinear(degrees, channels, channels)
        self.gate = nn.Linear(channels, channels * (len(degrees) - 1))
        self.channels = channels

    def forward(self, features: Tensor) -> Tensor:
        normed = self.norm(features)
        left = self.left(normed).transpose(-1, -2)
        right = self.right(normed[..., : self.dimension_right, :]).transpose(-1, -2)
        products = reshape_tail(left.unsqueeze(-1) * right.unsqueeze(-2), 2, -1)  # [..., C, D * D_right]
        update = self.couple(products) + self.linear(normed)
        invariant = update[..., :1, :]
        gates = torch.sigmoid(self.gate(invariant)).split(self.channels, dim=-1)
        parts = [nn.functional.silu(invariant)]
        for i, (gate, width) in enumerate(zip(gates, self.repeats, strict=True)):
            start = 1 + sum(self.repeats[:i])
            parts.append(update[..., start : start + width, :] * gate)
        return features + torch.cat(parts, dim=-2)


class PointConvolution(nn.Module):
    """Features of the K ``sources`` nearest to each target, coupled with radial functions times harmonics of the edge.

    The weights decrease smoothly to zero at the farthest neighbour, so that a neighbour exchanged by rounding has no effect.
    Their sum is one, which removes the density of the points.
    """

    centres: Tensor

    def __init__(
        self,
        degrees_in: list[int],
        channels_in: int,
        channels_out: int,
        radius: float,
        neighbours: int = NEIGHBOURS,
        radial: int = 4,
    ) -> None:
        super().__init__()
        self.neighbours, self.radius, self.radial = neighbours, radius, radial
        self.register_buffer("centres", torch.linspace(0.0, 1.0, radial))
        self.dimension_in = sum(2 * degree + 1 for degree in degrees_in)
        self.channels_in = channels_in
        self.couple = TensorProduct([0, 1, 2], degrees_in, [0, 1, 2], radial * channels_in, channels_out)

    def forward(self, sources: Tensor, features: Tensor, targets: Tensor) -> Tensor:
        """sources [B, N, 3], features [B, N, D, C], targets [B, M, 3] -> [B, M, 9, C_out]."""
        index = nearest(sources, targets, self.neighbours)
        edge = gather(sources, index) - targets.unsqueeze(2)  # [B, M, K, 3]
        length2 = edge.square().sum(-1, keepdim=True)
        reach2 = length2.amax(dim=2, keepdim=True) + 1e-6
        weight = (1.0 - length2 / reach2).square()
        weight = weight / weight.sum(dim=2, keepdim=True)
        x, y, z = (edge * torch.rsqrt(length2 + 1e-6)).unbind(-1)
        harmonics = torch.stack([c for row in solid_harmonics(x, y, z, 2) for c in row], dim=-1)
        near = torch.sqrt(length2 + 1e-8) / self.radius
        radial = torch.exp(-0.5 * (self.radial * (near - self.centres)).square()) * weight
        filters = reshape_tail(radial.unsqueeze(-1) * harmonics.unsqueeze(-2), 2, -1)  # [B, M, K, radial * 9]
        neighbours = gather(reshape_tail(features, 2, -1), index)  # [B, M, K, D * C]
        summed = filters.transpose(-1, -2) @ neighbours
        summed = reshape_tail(summed, 2, self.radial, 9, self.dimension_in, self.channels_in)
        # [B, M, radial, 9, D, C] -> [B, M, radial * C, 9 * D]
        width = self.radial * self.channels_in
        products = reshape_tail(summed.permute(0, 1, 2, 5, 3, 4), 4, width, 9 * self.dimension_in)
        return self.couple(products)


def reshape_tail(values: Tensor, count: int, *shape: int) -> Tensor:
    """The last ``count`` dimensions as ``shape``; flatten and unflatten would fix the others at export."""
    return values.reshape(*values.shape[: values.dim() - count], *shape)


def nearest(sources: Tensor, targets: Tensor, count: int) -> Tensor:
    """Rows [B, M, K] of the ``count`` sources nearest to each target."""
    cross = targets @ sources.transpose(1, 2)
    distance2 = sources.square().sum(-1).unsqueeze(1) - 2.0 * cross  # the norm of the target does not affect the order
    return distance2.topk(count, dim=2, largest=False, sorted=False).indices


def gather(values: Tensor, index: Tensor) -> Tensor:
    """values [B, N, F] at index [B, M, K] -> [B, M, K, F], by one flat gather, the fastest in ONNX Runtime."""
    # The cloud of each row, by a cumulative sum: the tracer would fix the length of an arange.
    cloud = torch.ones_like(index[:, :1, :1]).cumsum(0) - 1
    offset = cloud * values.shape[1]
    flat = values.reshape(-1, values.shape[-1]).index_select(0, (index + offset).reshape(-1))
    return flat.view(*index.shape, values.shape[-1])
