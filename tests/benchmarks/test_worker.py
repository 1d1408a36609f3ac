"""A peer in its own process: answered, timed out, failed or untrained, and never a pose that it did not give."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("psutil")
pytest.importorskip("open3d")
from slow_peer import Peer

from benchmarks.peers.worker import Worker

pytestmark = pytest.mark.learning


def crop(points: int) -> np.ndarray:
    return np.full((points, 3), 0.25)


@pytest.fixture(scope="module")
def peer() -> Iterator[Worker]:
    worker = Worker(Peer, call_s=0.2)
    yield worker
    worker.close()


def test_a_call_that_does_not_end_is_killed_and_the_next_is_answered(peer: Worker) -> None:
    late = peer.poses(crop(1), np.zeros(3))
    assert (late.outcome, late.poses, late.seconds) == ("timed_out", [], 0.2)
    good = peer.poses(crop(5), np.zeros(3))
    assert good.outcome == "answered" and good.seconds < 0.2
    np.testing.assert_array_equal(good.poses[0][:3, 3], 0.25)


def test_what_it_raises_is_told_and_the_process_lives(peer: Worker) -> None:
    told = peer.poses(crop(2), np.zeros(3))
    assert (told.outcome, told.poses, told.why) == ("failed", [], "ValueError: too few points")
    assert peer.poses(crop(5), np.zeros(3)).outcome == "answered"


def test_a_process_that_dies_is_a_failure_and_comes_back(peer: Worker) -> None:
    told = peer.poses(crop(3), np.zeros(3))
    assert (told.outcome, told.poses, told.why) == ("failed", [], "its process died")
    assert peer.poses(crop(5), np.zeros(3)).outcome == "answered"


@pytest.mark.parametrize(
    "training, why",
    [("endless", "training did not end in 0.2 s"), ("raises", "training failed: ValueError: no such model")],
)
def test_a_training_that_leads_nowhere_is_not_tried_again(training: str, why: str) -> None:
    worker = Worker(Peer, training, train_s=0.2 if training == "endless" else 60.0)
    for _ in range(2):
        told = worker.poses(crop(5), np.zeros(3))
        assert (told.outcome, told.poses, told.why) == ("untrained", [], why)
    worker.close()
