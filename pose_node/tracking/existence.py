"""Whether a track is of its object at all, as log-odds of right against wrong.

What following finds starts from the track itself: it says how well the pose explains this frame (its score, a probability by
itself), but a thousand frames of it say no more than one. Detections start from nothing, so each of them is further evidence:
one finds the object there again, or does not although it could be seen. (Musicki, Evans and Stankovic, "Integrated
probabilistic data association", 1994.)
"""

from __future__ import annotations

import numpy as np

# Measured with a still camera on ycbv_demo and ycbv, all objects, no masks: how often the next detection finds again what was
# right, and what was wrong, for what misleads one detection misleads many of the next.
_AGAIN_RIGHT, _AGAIN_WRONG = 0.8, 1.0 / 3.0
_NEVER_AGAIN = 0.12  # share of right tracks that no further detection would find: their view is too hard
_SLIPS = 0.02  # share of right tracks that leave their object between two detections, however often they were found
_LEAST_SCORE = 0.02  # no score is more certain than this, or its complement

LIKELY = float(np.log(3.0))  # right three times as likely as wrong


def log_odds(probability: float) -> float:
    """Of something against its opposite."""
    p = min(max(probability, _LEAST_SCORE), 1.0 - _LEAST_SCORE)
    return float(np.log(p / (1.0 - p)))


def found(support: float) -> float:
    """What detections say of a track, in log-odds, after one more that found the object there."""
    return min(support + float(np.log(_AGAIN_RIGHT / _AGAIN_WRONG)), float(np.log(1.0 / _SLIPS)))


def missed(support: float, visible: float) -> float:
    """The same after one more that did not; visible: share of the object that the frame showed, in [0, 1]."""
    likeness = (1.0 - _AGAIN_RIGHT * visible) / (1.0 - _AGAIN_WRONG * visible)
    return max(support + float(np.log(likeness)), min(support, float(np.log(_NEVER_AGAIN))))
