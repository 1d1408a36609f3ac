"""The detector's process: it answers, ends with its parent, and what goes wrong in it is said, backed off and put right."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pose_node.config import PipelineConfig
from pose_node.errors import ModelError
from pose_node.pipeline import Pipeline
from pose_node.ros import detector_process
from pose_node.ros.detector_process import DetectorProcess

psutil = pytest.importorskip("psutil", reason="the benchmarks' packages are not installed")

WAIT_S = 60.0  # tells a hang from a busy machine


def until(condition: Callable[[], object]) -> object:
    """Wait for the condition and return it."""
    end_s = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < end_s, "not in time"
        time.sleep(0.02)
    return found


@pytest.fixture
def start() -> Iterator[Callable[..., DetectorProcess]]:
    running: list[DetectorProcess] = []
    before = set(psutil.Process().children())  # of other tests, where many run in one process

    def begin(folder: object) -> DetectorProcess:
        running.append(DetectorProcess([str(folder)], PipelineConfig(), 0.5))
        return running[-1]

    yield begin
    for detector in running:
        detector.close()
    assert not set(psutil.Process().children()) - before


def child() -> psutil.Process:
    (found,) = [process for process in psutil.Process().children() if "detector_child" in " ".join(process.cmdline())]
    return found


def ready(detector: DetectorProcess) -> bool:
    return detector.condition().doing == "ready"


def detect(detector: DetectorProcess, block, pose):
    cloud, mask = block.see(pose)
    detector.begin(cloud, {"block": [mask]}, None)
    return until(detector.take)


def test_it_answers_as_the_pipeline_does_also_after_a_restart(block, pose, start):
    cloud, mask = block.see(pose)
    expected = Pipeline.load([block.card.folder]).estimate(cloud, {"block": [mask]})
    detector = start(block.card.folder)
    for _ in range(2):
        result = detect(detector, block, pose)
        assert [r.code for r in result.rejected] == [r.code for r in expected.rejected]
        for found, wanted in zip(result.estimates, expected.estimates):
            np.testing.assert_array_equal(found.T_camera_object, wanted.T_camera_object)
        assert detector.condition().problem == ""
        child().send_signal(signal.SIGKILL)
        problem = until(lambda: detector.condition().problem)
        assert "SIGKILL" in problem and "started again" in problem
        until(lambda: ready(detector))
    assert detector.condition().failures == 2
    assert detector.condition().problem, "it has not answered since"


def test_waiting_for_it_ends_when_it_has_loaded_or_cannot_or_is_closed(block, start, tmp_path):
    start(block.card.folder).wait_ready()
    with pytest.raises(ModelError, match=r"nothing.card\.yaml: cannot be read.*\.$"):
        start(tmp_path / "nothing").wait_ready()
    closed = start(block.card.folder)
    closed.close()
    with pytest.raises(ModelError, match="it was closed"):
        closed.wait_ready()


def test_an_invalid_request_is_refused_and_the_process_lives(block, pose, start):
    detector = start(block.card.folder)
    cloud, _ = block.see(pose)
    detector.begin(cloud, {"block": [np.ones((2, 2), bool)]}, None)
    (refused,) = until(detector.take).rejected
    assert refused.code == "mask_shape" and "expected" in refused.reason
    assert detector.condition().failures == 0


def test_a_hang_is_reported_killed_and_restarted(block, pose, start, monkeypatch):
    monkeypatch.setattr(detector_process, "_MIN_DURATION_S", 0.3)
    detector = start(block.card.folder)
    until(lambda: ready(detector))
    stopped = child()
    stopped.suspend()
    cloud, mask = block.see(pose)
    detector.begin(cloud, {"block": [mask]}, None)
    late = until(lambda: detector.condition().problem)
    assert "expected an answer within" in late and "is killed after" in late
    (refused,) = until(detector.take).rejected
    assert refused.code == "detector_hung" and "was killed" in refused.reason
    assert not stopped.is_running()
    detect(detector, block, pose)
    until(lambda: not detector.condition().problem)


def test_a_child_that_cannot_load_is_given_up_after_some_starts(block, pose, start, tmp_path, monkeypatch):
    monkeypatch.setattr(detector_process, "_MAX_PAUSE_S", 0.05)
    folder = shutil.copytree(block.card.folder, tmp_path / "block")
    (folder / "bank.npz").unlink()
    detector = start(folder)
    until(lambda: detector.condition().hopeless)
    condition = detector.condition()
    assert condition.failures == detector_process._MAX_FAILED_STARTS
    assert "bank.npz" in condition.problem and "not started again" in condition.problem
    (refused,) = detect(detector, block, pose).rejected
    assert refused.code == "detector_down" and refused.reason == condition.problem


PARENT = """
import sys, time
from pose_node.config import PipelineConfig
from pose_node.ros.detector_process import DetectorProcess
detector = DetectorProcess([sys.argv[1]], PipelineConfig(), 0.5)
while sys.argv[2] == "ready" and detector.condition().doing != "ready":
    time.sleep(0.02)
print("here", flush=True)
time.sleep(600)
"""


ENDS = [("loading", False), ("ready", False)]
if sys.platform == "linux":  # which alone ends a process that is stopped
    ENDS.append(("ready", True))


@pytest.mark.parametrize(("when", "stopped"), ENDS)
def test_it_ends_with_its_parent(block, when, stopped):
    command = [sys.executable, "-c", PARENT, str(block.card.folder), when]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"here\n"
        (orphan,) = until(psutil.Process(parent.pid).children)
        if stopped:
            orphan.suspend()
        parent.kill()
    until(lambda: not orphan.is_running())


def test_it_ends_with_its_connection(block, pose):
    """What other systems than Linux rely on."""
    cloud, mask = block.see(pose)
    with detector_process._Child() as child:
        child.ask(([str(block.card.folder)], PipelineConfig()))
        child._connection.send((PipelineConfig(), cloud, {"block": [mask]}, None))
        child._connection.close()
        until(child.has_ended)
