"""Whether a track is of its object at all, as log-odds of right against wrong.

Following starts from the track itself, so a thousand frames of it are no more evidence than one: the score of the last, which
is a probability. Each detection starts afresh, so whether it finds the object at the track's place, or does not although it
is visible, is further evidence. (Musicki, Evans and Stankovic, "Integrated probabilistic data association", 1994.)

``support`` is the sum of the log-odds from detections.
"""

from __future__ import annotations

import numpy as np

# Measured with a still camera on ycbv_demo and ycbv, all objects, no masks: how often the next detection confirms a right
# track and a wrong one. The latter is high because what misleads one detection misleads many of the next.
CONFIRMS_RIGHT, _CONFIRMS_WRONG = 0.8, 1.0 / 3.0
_UNDETECTABLE = 0.12  # share of right tracks that no further detection confirms: their view is too difficult
_SLIPS = 0.02  # share of right tracks that leave their object between two detections, however often they were confirmed
_MIN_PROBABILITY = 0.02  # no score is more certain than this, or its complement

LIKELY = float(np.log(3.0))  # three times as likely right as wrong


def log_odds(probability: float) -> float:
    """Log-odds of ``probability``, which is clipped to 0.02 to 0.98 first."""
    p = min(max(probability, _MIN_PROBABILITY), 1.0 - _MIN_PROBABILITY)
    return float(np.log(p / (1.0 - p)))


def after_hit(support: float) -> float:
    """Support after one more detection that found the object at the track's place; bounded above."""
    return min(support + float(np.log(CONFIRMS_RIGHT / _CONFIRMS_WRONG)), float(np.log(1.0 / _SLIPS)))


def after_miss(support: float, visible: float) -> float:
    """Support after one more detection that did not; visible: unoccluded share of the object in [0, 1]. Bounded below."""
    ratio = (1.0 - CONFIRMS_RIGHT * visible) / (1.0 - _CONFIRMS_WRONG * visible)
    return max(support + float(np.log(ratio)), min(support, float(np.log(_UNDETECTABLE))))
