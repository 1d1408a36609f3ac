"""What the backbone learns: to find a place again among all places of all shapes, to turn with it, and to know when it cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pose_node.geometry.se3 import exp_so3
from pose_node.geometry.symmetry import rotation_grid
from pose_node.learning.backbone import Backbone
from pose_node.learning.backbone_views import OBSERVED, Clouds

SAME_REL, OTHER_REL = (
    0.05,
    0.09,
)  # places nearer than the first, in diameters, are the same; farther than the second, others
_SAME_COSINE = 0.5  # of the normals at one place, which tells the two sides of a thin wall apart
_OTHERS_EVERY = 4
_OTHER_SHAPES = 0.2  # weight of a place of another shape as a negative: many are truly alike, such as flat faces
_UNIFORM, _NEAR = 160, 96  # wrong rotations to tell the true one from
_NEAR_RAD = (0.15, 0.9)
_MIN_TEMPERATURE = 0.03
_NEVER = -1e4  # logit of what does not count
WEIGHTS = {"place": 1.0, "turn": 0.3, "quality": 0.3}


@dataclass(frozen=True)
class Described:
    """The backbone's outputs for O samples of S clouds: descriptors [O, S, M, 32], vectors [O, S, M, 8, 3], quality [O, S, M]."""

    descriptors: Tensor
    vectors: Tensor
    quality: Tensor
    temperature: Tensor


def describe(backbone: torch.nn.Module, clouds: Clouds, log_temperature: Tensor) -> Described:
    """Run the backbone on all clouds of a batch at once."""
    samples, views = clouds.points.shape[:2]
    inputs = (clouds.points, clouds.normals, clouds.viewpoint, clouds.centres)
    outputs = backbone(*(x.flatten(0, 1) for x in inputs))
    temperature = log_temperature.exp().clamp(min=_MIN_TEMPERATURE)
    return Described(*(x.unflatten(0, (samples, views)) for x in outputs), temperature)


def wrong_rotations(device: torch.device | str = "cpu") -> Tensor:
    """Fixed rotations [160 + 96, 9] that are not the identity: evenly over SO(3), and turns of 9 to 52 degrees."""
    rng = np.random.default_rng(0)
    axis = rng.normal(size=(_NEAR, 3))
    near = exp_so3(axis / np.linalg.norm(axis, axis=1, keepdims=True) * rng.uniform(*_NEAR_RAD, (_NEAR, 1)))
    uniform = rotation_grid(_UNIFORM)
    return torch.tensor(np.concatenate([uniform, near]).reshape(-1, 9), dtype=torch.float32, device=device)


@dataclass(frozen=True)
class Pairs:
    """Measured centres against clean ones of the same shape: each [O, P, Q].

    apart: distance of the places; alike: whether the normals agree; valid: both are on the shape.
    """

    apart: Tensor
    alike: Tensor
    valid: Tensor


def pairs(clouds: Clouds) -> Pairs:
    """All pairs of a measured and a clean centre of each sample."""
    places, normals, known = (x.flatten(1, 2) for x in _split(clouds, "places", "normals_there", "known")[0])
    clean_places, clean_normals, clean_known = (
        x.flatten(1, 2) for x in _split(clouds, "places", "normals_there", "known")[1]
    )
    apart = torch.cdist(places, clean_places)
    alike = normals @ clean_normals.transpose(1, 2) > _SAME_COSINE
    return Pairs(apart, alike, (known.unsqueeze(2) * clean_known.unsqueeze(1)) > 0)


def losses(found: Described, clouds: Clouds, wrong: Tensor) -> dict[str, Tensor]:
    """Each part's mean over the measured centres of a batch; ``wrong`` from ``wrong_rotations``.

    place:   InfoNCE (van den Oord et al., 2018) over the clean places of all shapes; places between ``SAME_REL`` and
             ``OTHER_REL`` count neither way.
    turn:    negative log likelihood of the true rotation under the matrix Fisher density exp(tr(R^T A)) that a right match's
             vectors give, A = sum of v w^T (Mardia and Jupp, "Directional Statistics", 2000).
    quality: whether the centre's best match is right.
    """
    measured, clean = found.descriptors[:, :OBSERVED].flatten(1, 2), found.descriptors[:, OBSERVED:].flatten(1, 2)
    both = pairs(clouds)
    count = len(both.apart)
    mine = measured @ clean.transpose(1, 2) / found.temperature  # [O, P, Q]
    same = both.valid & both.alike & (both.apart < SAME_REL)
    ignored = both.valid & ~same & (both.apart < OTHER_REL)
    filled = clouds.used[:, OBSERVED:].flatten(1, 2) == 0  # [O, Q]
    here = mine.masked_fill(ignored | filled.unsqueeze(1), _NEVER)
    # A part of the other shapes' places stands for all of them.
    few, few_filled = clean[:, ::_OTHERS_EVERY], filled[:, ::_OTHERS_EVERY]
    elsewhere = torch.einsum("opd,uqd->opuq", measured, few) / found.temperature + float(
        np.log(_OTHER_SHAPES * _OTHERS_EVERY)
    )
    own = torch.eye(count, dtype=torch.bool, device=mine.device)
    unused = own[:, :, None] | few_filled[None]  # [O, O, Q / _OTHERS_EVERY]
    elsewhere = elsewhere.masked_fill(unused[:, None], _NEVER)
    all_places = torch.logsumexp(torch.cat([here, elsewhere.flatten(2)], dim=2), dim=2)
    right = torch.logsumexp(mine.masked_fill(~same, _NEVER), dim=2)
    seen = same.any(2).float()
    place = ((all_places - right) * seen).sum() / seen.sum().clamp(min=1.0)

    nearest = both.apart.masked_fill(~same, 9.0).argmin(2)  # [O, P]
    vectors, clean_vectors = (x.flatten(1, 2) for x in _in_shape_frame(found.vectors, clouds))
    matched = clean_vectors.gather(1, nearest[..., None, None].expand(-1, -1, *clean_vectors.shape[2:]))
    A = vectors.transpose(-1, -2) @ matched  # [O, P, 3, 3]
    true = A.diagonal(dim1=-2, dim2=-1).sum(-1)
    others = A.flatten(2) @ wrong.T
    turn = torch.logsumexp(torch.cat([others, true.unsqueeze(-1)], dim=-1), dim=-1) - true
    turn = (turn * seen).sum() / seen.sum().clamp(min=1.0)

    used = clouds.used[:, :OBSERVED].flatten(1, 2)
    best_right = _best_is_right(here, both)
    quality = F.binary_cross_entropy_with_logits(
        found.quality[:, :OBSERVED].flatten(1, 2), best_right, reduction="none"
    )
    return {"place": place, "turn": turn, "quality": (quality * used).sum() / used.sum()}


def total(parts: dict[str, Tensor]) -> Tensor:
    """The weighted sum of the parts."""
    return torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()


@torch.no_grad()
def figures(found: Described, clouds: Clouds) -> dict[str, float]:
    """On held-out samples: share of the shapes' centres whose best match is right, and the median turn of those in degrees."""
    both = pairs(clouds)
    measured, clean = found.descriptors[:, :OBSERVED].flatten(1, 2), found.descriptors[:, OBSERVED:].flatten(1, 2)
    filled = (clouds.used[:, OBSERVED:].flatten(1, 2) == 0).unsqueeze(1)
    similarity = (measured @ clean.transpose(1, 2)).masked_fill(filled, -9.0)
    best = similarity.argmax(2)
    can = (both.valid & (both.apart < SAME_REL)).any(2)
    right = both.apart.gather(2, best.unsqueeze(2)).squeeze(2) < OTHER_REL
    vectors, clean_vectors = (x.flatten(1, 2) for x in _in_shape_frame(found.vectors, clouds))
    matched = clean_vectors.gather(1, best[..., None, None].expand(-1, -1, *clean_vectors.shape[2:]))
    u, _, vt = torch.linalg.svd(vectors.transpose(-1, -2) @ matched)
    sign = torch.det(u @ vt)
    trace = (
        ((u * torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1).unsqueeze(-2)) @ vt)
        .diagonal(dim1=-2, dim2=-1)
        .sum(-1)
    )
    turn = torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))
    return {
        "match_right": round(float(right[can].float().mean()), 4),
        "turn_deg": round(float(turn[can & right].median()), 2),
    }


def _best_is_right(here: Tensor, both: Pairs) -> Tensor:
    best = here.argmax(2, keepdim=True)
    near = (both.apart < OTHER_REL) & both.valid
    return near.gather(2, best).squeeze(2).float()


def _split(clouds: Clouds, *names: str) -> tuple[list[Tensor], list[Tensor]]:
    values = [getattr(clouds, name) for name in names]
    return [v[:, :OBSERVED] for v in values], [v[:, OBSERVED:] for v in values]


def _in_shape_frame(vectors: Tensor, clouds: Clouds) -> tuple[Tensor, Tensor]:
    """vectors [O, S, M, 8, 3] in each shape's own frame; the measured and the clean ones."""
    turned = vectors @ clouds.R.unsqueeze(2)  # v R = (R^T v^T)^T
    return turned[:, :OBSERVED], turned[:, OBSERVED:]


def new_backbone(seed: int) -> Backbone:
    """The backbone with the initial weights of a seed."""
    torch.manual_seed(seed)
    return Backbone()
