"""Support from detections: bounded both ways, and lower after a miss the more of the object was visible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_node.tracking.existence import LIKELY, after_hit, after_miss, log_odds

SUPPORT = st.floats(-3.0, 5.0)
SHARE = st.floats(0.0, 1.0)


@given(probability=st.floats(0.0, 1.0))
def test_log_odds_are_finite_and_antisymmetric(probability):
    assert np.isfinite(log_odds(probability))
    assert log_odds(probability) == pytest.approx(-log_odds(1.0 - probability))


@given(support=SUPPORT, more=SHARE, less=SHARE)
def test_a_miss_costs_more_the_more_of_the_object_was_visible(support, more, less):
    more, less = max(more, less), min(more, less)
    assert after_miss(support, more) <= after_miss(support, less) <= after_miss(support, 0.0) == support


@given(support=st.floats(-2.0, 3.9))
def test_support_is_bounded_both_ways(support):
    high = low = support
    for _ in range(50):
        high, low = after_hit(high), after_miss(low, 1.0)
    assert high == after_hit(high) and low == after_miss(low, 1.0)
    for _ in range(6):  # after any number of hits a few misses are enough, and the reverse
        high, low = after_miss(high, 1.0), after_hit(low)
    assert high < -LIKELY < LIKELY < low
