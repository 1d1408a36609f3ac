"""Levels last as long as what they are about, and everything refused can be read in words."""

from __future__ import annotations

import pytest

pytest.importorskip("diagnostic_msgs", reason="ROS messages are not installed")

from diagnostic_msgs.msg import DiagnosticStatus

from pose_node.messages.pairing import NO_POINTS
from pose_node.ros.status import Status
from pose_node.types import Rejected

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
EMPTY = NO_POINTS
NORMAL = Rejected("low_score", "mug: score 0.31, expected 0.5.", "mug")


@pytest.fixture
def status() -> Status:
    return Status()


def frame(status: Status, *rejected: Rejected, poses: int = 0) -> None:
    status.count("frames_received")
    status.answered(poses, rejected, {}, 0.1, 0.1)


def report(status: Status, *conditions, state: str = "active"):
    level, line, values = status.report(state, conditions)
    return level, line, values


def test_an_unusable_frame_is_a_warning_until_the_next_good_one(status):
    frame(status, EMPTY)
    for _ in range(2):
        status.count("frames_received")
        level, line, values = report(status)
        assert (level, line) == (WARN, f"no_points: {EMPTY.reason}")
    assert (values["rejected.no_points"], values["sentence.no_points"]) == (1, EMPTY.reason)
    level, line, _ = report(status)
    assert level == WARN and line.startswith("no measurement arrived") and EMPTY.reason in line
    frame(status, NORMAL)
    level, line, values = report(status)
    assert (level, line) == (OK, "active"), "an object that is not there is nothing to warn of"
    assert values["sentence.low_score"] == NORMAL.reason


def test_a_refusal_lasts_and_a_superseded_frame_is_none(status):
    status.count("frames_received")
    status.refused("encoding", "depth image: found encoding 'rgb8'.")
    report(status)
    status.count("frames_received")
    assert report(status)[:2] == (WARN, "encoding: depth image: found encoding 'rgb8'.")
    frame(status, poses=1)
    status.refused("superseded", "measurement: a newer one was complete first.")
    status.refused("other_source", "points: ignored while depth arrives.")
    level, _, values = report(status)
    assert level == OK
    assert values["last_refusal"].startswith("other_source: ")


def test_a_refusal_of_the_detector_is_reported_with_a_good_frame(status):
    frame(status, Rejected("detector_died", "detector: its process ended with signal SIGKILL."), poses=1)
    assert report(status)[:2] == (WARN, "detector_died: detector: its process ended with signal SIGKILL.")
    frame(status, poses=1)
    assert report(status)[0] == OK
    frame(status, poses=1)
    assert report(status, (WARN, "detector: late."))[:2] == (WARN, "detector: late.")


def test_a_failed_configure_lasts_until_the_next_one(status):
    status.halted("config", "parameter models: found no folder.")
    for _ in range(2):
        level, line, values = report(status, (WARN, "less"), state="unconfigured")
        assert (level, line) == (ERROR, "config: parameter models: found no folder.")
    assert values["last_refusal"] == line
    status.configured()
    assert report(status, state="inactive")[:2] == (OK, "inactive")


def test_counts_restart_with_an_activation(status):
    frame(status, EMPTY)
    status.begin()
    level, line, values = report(status, state="inactive")
    assert (level, line) == (OK, "inactive")
    assert "rejected.no_points" not in values and "sentence.no_points" not in values


def test_a_refused_reload_lasts_until_one_succeeds(status):
    status.reload_refused("mug/card.yaml: is not YAML.")
    for _ in range(2):
        frame(status, poses=1)
        level, line, values = report(status)
        assert (level, line) == (WARN, "reload_refused: mug/card.yaml: is not YAML.")
        assert values["last_reload"] == "refused: mug/card.yaml: is not YAML."
    status.reloaded("added mug; 1 unchanged.")
    frame(status, poses=1)
    level, _, values = report(status)
    assert (level, values["last_reload"]) == (OK, "added mug; 1 unchanged.")
    status.reload_refused("mug/card.yaml: is not YAML.")
    status.configured()
    assert report(status, state="inactive")[0] == OK
