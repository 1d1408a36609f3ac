"""Workers on one stream: the results in order, few items under way, and one sentence where a worker is lost."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_node.errors import InputError
from pose_node.evaluation.runs import workers as workers_module
from pose_node.evaluation.runs.portable_pipeline import PortablePipeline
from pose_node.evaluation.runs.worker import Outcome, WorkerError
from pose_node.evaluation.runs.workers import _ordered, workers
from pose_node.measurement.cloud import Cloud
from pose_node.pipeline import Pipeline
from pose_node.ros.demo import recording

OBJECT, ID = "mustard_bottle", 5


class SimulatedPool:
    """Finishes one item when ``finish`` is called, or in an arbitrary order where waited for."""

    def __init__(self, capacity, choose):
        self.capacity, self._choose = capacity, choose
        self.under_way: list[tuple[int, Future]] = []
        self.most = 0

    def submit(self, item):
        future = Future()
        self.under_way.append((item, future))
        self.most = max(self.most, len(self.under_way))
        return future

    def outcome(self, future):
        while not future.done():
            self.finish_one()
        return future.result()

    def finish_one(self, *_, **__):
        """Takes the place of ``concurrent.futures.wait``, too."""
        item, future = self.under_way.pop(self._choose(len(self.under_way)))
        future.set_result(Outcome(-item))


@given(st.integers(1, 5), st.integers(0, 40), st.data())
def test_results_come_in_order_whichever_worker_is_first(capacity, count, choices):
    pool, read = SimulatedPool(capacity, lambda left: choices.draw(st.integers(0, left - 1))), []
    items = (read.append(i) or i for i in range(count))
    with mock.patch.object(workers_module, "wait", pool.finish_one):
        for number, result in enumerate(_ordered(pool, items)):
            assert result == -number
            assert len(read) - number <= 9 * capacity + 2  # what waits does not grow with the stream
    assert len(read) == count and pool.most <= capacity


def test_the_stream_is_not_read_to_its_end_before_the_first_result():
    """One slow item delays the others, but not without bound."""
    pool, read = SimulatedPool(2, lambda left: left - 1), []
    results = _ordered(pool, (read.append(i) or i for i in range(1000)))
    with mock.patch.object(workers_module, "wait", pool.finish_one):
        assert next(results) == 0 and len(read) < 25


def test_processes_give_the_results_of_a_single_one():
    with workers(math.sqrt, 1) as alone, workers(math.sqrt, 2) as two:
        assert list(alone(range(20))) == list(two(range(20))) == [math.sqrt(i) for i in range(20)]
        with pytest.raises(ValueError, match="math domain error"):
            list(two([4, -1]))
    assert not multiprocessing.active_children()


def test_items_read_before_an_error_are_processed():
    def items():
        yield from (4, 9, 16)
        raise InputError("the next image: cannot be read.")

    done = []
    with workers(math.sqrt, 2) as two, pytest.raises(InputError, match="the next image"):
        for answer in two(items()):
            done.append(answer)
    assert done == [2.0, 3.0, 4.0]


def end_with(code):
    os._exit(code)


@pytest.mark.parametrize(("call", "item"), [(end_with, 7), (signal.raise_signal, signal.SIGKILL)])
def test_a_lost_worker_is_one_sentence(call, item):
    with workers(call, 2) as two, pytest.raises(WorkerError, match="--jobs 2: a worker process ended abruptly"):
        list(two([item]))
    assert not multiprocessing.active_children()


KILLED = """
import os, signal
from pose_node.evaluation.runs.workers import workers

if __name__ == "__main__":
    with workers(abs, 2) as two:
        print(list(two([-1, -2, -3])), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_a_process_that_is_killed(tmp_path, repository):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    # The workers have the same standard output, so that this returns when they have ended, too.
    done = subprocess.run([sys.executable, script], cwd=repository, capture_output=True, timeout=120, text=True)
    assert done.returncode == -signal.SIGKILL and done.stdout == "[1, 2, 3]\n"


def test_too_few_jobs_are_refused():
    with pytest.raises(InputError, match="--jobs: found 0"), workers(math.sqrt, 0):
        pass


def test_no_cluster_at_the_address_is_one_sentence():
    pytest.importorskip("ray")
    with pytest.raises(WorkerError, match="found no cluster there"), workers(math.sqrt, 2, "127.0.0.1:1"):
        pass


def test_a_pickled_pipeline_needs_no_folder(repository, tmp_path, monkeypatch):
    if not (repository / "models" / OBJECT / "bank.npz").is_file():
        pytest.skip(f"models/{OBJECT} has no bank.npz yet")
    pipeline = Pipeline.load([repository / "models" / OBJECT])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    copy = pickle.loads(pickle.dumps(PortablePipeline(pipeline))).pipeline
    assert not any(Path(tmp_path).iterdir())
    frame = next(iter(recording.read("000002")))
    label = next(i for i, (bop_id, _) in enumerate(frame.labels) if bop_id == ID)
    cloud, masks = Cloud.from_depth(frame.depth_m, frame.K), {OBJECT: [frame.mask(label)]}
    (ours,), (theirs,) = (p.estimate(cloud, masks=masks).estimates for p in (pipeline, copy))
    np.testing.assert_array_equal(ours.T_camera_object, theirs.T_camera_object)
    np.testing.assert_array_equal(ours.covariance, theirs.covariance)
