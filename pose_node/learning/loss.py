"""The loss of each head, invariant to the object's symmetry."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

WEIGHTS = {"objectness": 1.0, "coordinates": 1.0, "frame": 0.5, "offset": 2.0, "rotation": 0.15, "centre": 2.0}


@dataclass(frozen=True)
class Truth:
    """Labels of a batch, lengths in diameters, with G poses that the object's symmetry makes equal.

    on_object [B, M] 0 or 1, present [B] 0 or 1 (0: the object is not in the segment; only ``on_object`` is valid),
    offsets [B, M, 3], centre [B, 3], frames [B, G, 2, 3], coordinates [B, G, M, 3], basis [B, G, 165] (``rotation_basis``).
    """

    on_object: Tensor
    present: Tensor
    offsets: Tensor
    centre: Tensor
    frames: Tensor
    coordinates: Tensor
    basis: Tensor


def losses(outputs: tuple[Tensor, ...], truth: Truth, grid_basis: Tensor) -> dict[str, Tensor]:
    """Each head's loss, a mean over the batch. ``grid_basis`` [R, 165]: ``rotation_basis`` of a grid, to normalise the density."""
    objectness, offsets, frames, coordinates, spreads, centre, rotation = outputs
    on = truth.on_object * truth.present[:, None]
    per_cloud = on / on.sum(1, keepdim=True).clamp(min=1.0)  # weights of points, with sum one in each cloud
    clouds = truth.present.sum().clamp(min=1.0)

    offset = (per_cloud * F.smooth_l1_loss(offsets, truth.offsets, beta=0.05, reduction="none").sum(-1)).sum() / clouds
    # Each point may vote for any of the equal frames: points on two sides of a symmetric view cannot agree on one.
    miss = (frames.unsqueeze(1) - truth.frames.unsqueeze(2)).square().sum((-1, -2))  # [B, G, M]
    frame = (per_cloud * miss.amin(1)).sum() / clouds
    # Coordinates must be consistent across the cloud: one of the equal poses is chosen for all of its points.
    error = F.smooth_l1_loss(
        coordinates.unsqueeze(1).expand_as(truth.coordinates), truth.coordinates, beta=0.02, reduction="none"
    )
    nll = error.sum(-1) * torch.exp(-spreads).unsqueeze(1) + spreads.unsqueeze(1)
    coordinate = ((per_cloud.unsqueeze(1) * nll).sum(-1).amin(1) * truth.present).sum() / clouds
    # Negative log likelihood of the true rotation; equal poses have equal probability.
    at_truth = torch.einsum("bgc,bc->bg", truth.basis, rotation)
    normaliser = torch.logsumexp(torch.cat([rotation @ grid_basis.T, at_truth], dim=1), dim=1)
    rotation_nll = ((normaliser - at_truth.mean(1)) * truth.present).sum() / clouds
    centred = F.smooth_l1_loss(centre, truth.centre, beta=0.05, reduction="none").sum(-1)
    return {
        "objectness": F.binary_cross_entropy_with_logits(objectness, truth.on_object),
        "coordinates": coordinate,
        "frame": frame,
        "offset": offset,
        "rotation": rotation_nll,
        "centre": (centred * truth.present).sum() / clouds,
    }


def total(parts: dict[str, Tensor]) -> Tensor:
    """The weighted sum of the heads' losses."""
    return torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
