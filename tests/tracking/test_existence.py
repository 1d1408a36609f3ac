"""What detections say of a track: bounded, in proportion to what could be seen, and the same however it is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_node.tracking.existence import LIKELY, found, log_odds, missed

SUPPORT = st.floats(-3.0, 5.0)
SHARE = st.floats(0.0, 1.0)


@given(probability=st.floats(0.0, 1.0))
def test_log_odds_are_finite_and_odd(probability):
    assert np.isfinite(log_odds(probability))
    assert log_odds(probability) == pytest.approx(-log_odds(1.0 - probability))


@given(support=SUPPORT, more=SHARE, less=SHARE)
def test_a_miss_speaks_against_a_track_the_more_of_it_could_be_seen(support, more, less):
    more, less = max(more, less), min(more, less)
    assert missed(support, more) <= missed(support, less) <= missed(support, 0.0) == support


@given(support=st.floats(-2.0, 3.9))
def test_evidence_is_bounded_both_ways(support):
    high = low = support
    for _ in range(50):
        high, low = found(high), missed(low, 1.0)
    assert high == found(high) and low == missed(low, 1.0)
    for _ in range(6):  # however often it was found, a few misses are enough; however often not, a few sights are
        high, low = missed(high, 1.0), found(low)
    assert high < -LIKELY < LIKELY < low
