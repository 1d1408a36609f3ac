"""Many workers on one stream: the answers in order, few items under way, and a sentence where a worker is lost."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_node.errors import InputError
from pose_node.evaluation.runs.carried import Carried
from pose_node.evaluation.runs.worker import Done, WorkerError
from pose_node.evaluation.runs.workers import _ordered, workers
from pose_node.measurement.cloud import Cloud
from pose_node.pipeline import Pipeline
from pose_node.ros.demo import recording

OBJECT, ID = "mustard_bottle", 5


class Whim:
    """A crew whose items are done in an order of its own."""

    def __init__(self, capacity, choices):
        self.capacity, self._choices = capacity, choices
        self.under_way: list[tuple[int, int]] = []
        self.most = 0

    def submit(self, number, item):
        self.under_way.append((number, item))
        self.most = max(self.most, len(self.under_way))

    def next_done(self):
        number, item = self.under_way.pop(self._choices.draw(st.integers(0, len(self.under_way) - 1)))
        return Done(number, -item)


@given(st.integers(1, 5), st.integers(0, 40), st.data())
def test_answers_come_in_order_whoever_is_first(capacity, count, choices):
    crew, read = Whim(capacity, choices), []
    items = (read.append(i) or i for i in range(count))
    for number, answer in enumerate(_ordered(crew, items)):
        assert answer == -number
        assert len(read) - number <= 9 * capacity + 2  # what waits does not grow with the stream
    assert len(read) == count and crew.most <= capacity


def test_the_stream_is_not_read_to_its_end_before_the_first_answer():
    """One item that takes long holds the others back, but not without bound."""

    class Slow(Whim):
        def next_done(self):
            number, item = self.under_way.pop() if len(self.under_way) > 1 else self.under_way.pop(0)
            return Done(number, item)

    read = []
    answers = _ordered(Slow(2, None), (read.append(i) or i for i in range(1000)))
    assert next(answers) == 0 and len(read) < 25


def test_processes_answer_as_this_one_does():
    with workers(math.sqrt, 1) as alone, workers(math.sqrt, 2) as two:
        assert list(alone(range(20))) == list(two(range(20))) == [math.sqrt(i) for i in range(20)]
        with pytest.raises(ValueError, match="math domain error"):
            list(two([4, -1]))
    assert not multiprocessing.active_children()


def test_what_was_read_before_an_error_is_worked_out():
    def items():
        yield from (4, 9, 16)
        raise InputError("the next image: cannot be read.")

    done = []
    with workers(math.sqrt, 2) as two, pytest.raises(InputError, match="the next image"):
        for answer in two(items()):
            done.append(answer)
    assert done == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "call, item, how", [(os._exit, 7, "exit code 7"), (signal.raise_signal, signal.SIGKILL, "signal 9")]
)
def test_a_lost_worker_is_one_sentence(call, item, how):
    with workers(call, 2) as two, pytest.raises(WorkerError, match=f"--jobs 2: found a worker ended by {how}"):
        list(two([item]))
    assert not multiprocessing.active_children()


def test_too_few_jobs_are_refused():
    with pytest.raises(InputError, match="--jobs: found 0"), workers(math.sqrt, 0):
        pass


def test_nobody_at_the_address_is_one_sentence():
    pytest.importorskip("ray")
    with pytest.raises(WorkerError, match="found no cluster there"), workers(math.sqrt, 2, "127.0.0.1:1"):
        pass


def test_a_pipeline_travels_without_its_folder(repository, tmp_path, monkeypatch):
    if not (repository / "models" / OBJECT / "pose.onnx").is_file():
        pytest.skip(f"models/{OBJECT} has no pose.onnx yet")
    pipeline = Pipeline.load([repository / "models" / OBJECT])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    copy = pickle.loads(pickle.dumps(Carried(pipeline))).pipeline
    assert not any(Path(tmp_path).iterdir())
    frame = next(iter(recording.read("000002")))
    label = next(i for i, (bop_id, _) in enumerate(frame.labels) if bop_id == ID)
    cloud, masks = Cloud.from_depth(frame.depth_m, frame.K), {OBJECT: [frame.mask(label)]}
    (ours,), (theirs,) = (p.estimate(cloud, masks=masks).estimates for p in (pipeline, copy))
    np.testing.assert_array_equal(ours.T_camera_object, theirs.T_camera_object)
    np.testing.assert_array_equal(ours.covariance, theirs.covariance)
