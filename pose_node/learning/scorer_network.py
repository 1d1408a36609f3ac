"""The scorer's network: sets of invariants, each pooled to a mean, then a small perceptron to one log-odds a pose.

(Zaheer et al., "Deep sets", NeurIPS 2017.) Means do not depend on the numbers of samples and points, so one network ranks many
coarse poses with few of them and judges the refined ones with many. Beside what it learns of each element it pools soft counts
at several tolerances: which share agrees, violates free space, is hidden, lies beyond the model.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pose_node.pose.invariants import CONTEXT_CHANNELS, POINT_CHANNELS, SAMPLE_CHANNELS

_MATCH_CHANNELS = 3  # share, similarity, quality
_WIDTH, _MATCH_WIDTH, _HIDDEN = 12, 8, 32
_TOLERANCES = (1.0, 2.6, 6.0, 15.0)  # in errors of the sensor, from most to all that may count as agreement
_STEEP = 4.0  # of the soft counts


class ScorerNetwork(nn.Module):
    """See the module; the inputs are those of ``pose.invariants.Invariants`` and of the match evidence."""

    def __init__(self) -> None:
        super().__init__()
        self.of_samples = _perceptron(len(SAMPLE_CHANNELS), _WIDTH, _WIDTH)
        self.of_points = _perceptron(len(POINT_CHANNELS), _WIDTH, _WIDTH)
        self.of_matches = _perceptron(_MATCH_CHANNELS, _MATCH_WIDTH, _MATCH_WIDTH)
        counts = 6 * len(_TOLERANCES)
        pooled = counts + 2 * _WIDTH + _MATCH_WIDTH + 1 + len(CONTEXT_CHANNELS)
        self.decide = nn.Sequential(_perceptron(pooled, _HIDDEN, _HIDDEN // 2), nn.Linear(_HIDDEN // 2, 1))
        first = self.decide[0][0]
        assert isinstance(first, nn.Linear)
        with torch.no_grad():  # a network that was never shown matches does not depend on them
            first.weight[:, counts + 2 * _WIDTH : counts + 2 * _WIDTH + _MATCH_WIDTH + 1] = 0.0
        self.register_buffer("tolerances", torch.tensor(np.arcsinh(_TOLERANCES), dtype=torch.float32))
        # log-odds as trained times the first plus the second are those of the poses that win, see ``train_scorer.calibrate``
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))

    def forward(
        self, samples: Tensor, weight: Tensor, points: Tensor, matches: Tensor, match_weight: Tensor, context: Tensor
    ) -> Tensor:
        """Log-odds [B] that each pose is right.

        samples [B, S, 9], weight [B, S], points [B, P, 6], context [B, 6]; matches [B, M, 3] and match_weight [B, M], whose sum is
        one, or zero where nothing was matched.
        """
        pooled = (
            _mean(self._sample_counts(samples), weight),
            _mean(self.of_samples(samples), weight),
            self._point_counts(points).mean(dim=1),
            self.of_points(points).mean(dim=1),
            _mean(self.of_matches(matches), match_weight),
            match_weight.sum(dim=1, keepdim=True),
            context,
        )
        log_odds = self.decide(torch.cat(pooled, dim=1))[:, 0]
        return log_odds * self.calibration[0] + self.calibration[1]

    def _sample_counts(self, samples: Tensor) -> Tensor:
        """[B, S, 4 * tolerances]: agrees in the segment; in measured free space; hidden by other things; behind the segment."""
        agrees = torch.sigmoid(_STEEP * (self.tolerances - samples[..., 2:3]))
        in_front = torch.sigmoid(_STEEP * samples[..., 0:1])
        hit, own = samples[..., 4:5], samples[..., 5:6]
        off = hit * (1.0 - agrees)
        behind = off * (1.0 - in_front)
        return torch.cat([own * agrees, off * in_front, behind * (1.0 - own), behind * own], dim=-1)

    def _point_counts(self, points: Tensor) -> Tensor:
        """[B, P, 2 * tolerances]: lies on the surface and faces as it does; lies beyond it."""
        faces = torch.sigmoid(2.0 * _STEEP * (points[..., 4:5] - 0.5))
        on = torch.sigmoid(_STEEP * (self.tolerances - points[..., 0:1].abs())) * faces
        beyond = torch.sigmoid(_STEEP * (points[..., 1:2] - self.tolerances))
        return torch.cat([on, beyond], dim=-1)


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs), nn.ReLU())


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """The sum [B, C] of values [B, N, C] times weights [B, N]."""
    return torch.bmm(weight[:, None], values)[:, 0]
