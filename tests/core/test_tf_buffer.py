"""Transforms between threads: what comes in time is used, what does not is a reason and never an identity."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from pose_node.errors import InputError
from pose_node.tf_buffer import TfBuffer

SECOND = 1_000_000_000


def message(parent, child, seconds, x=0.0):
    whole, fraction = divmod(int(seconds * SECOND), SECOND)
    return SimpleNamespace(
        transforms=[
            SimpleNamespace(
                header=SimpleNamespace(frame_id=parent, stamp=SimpleNamespace(sec=whole, nanosec=fraction)),
                child_frame_id=child,
                transform=SimpleNamespace(
                    translation=SimpleNamespace(x=x, y=0.0, z=0.0), rotation=SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0)
                ),
            )
        ]
    )


def filled():
    buffer = TfBuffer()
    buffer.add(message("arm", "camera", 0.0), static=True)
    buffer.add(message("world", "arm", 1.0, 0.0), static=False)
    buffer.add(message("world", "arm", 2.0, 1.0), static=False)
    return buffer


def test_a_stamp_between_two_samples_is_interpolated():
    T = filled().lookup("world", "camera", int(1.25 * SECOND), 0.0)
    assert T[0, 3] == pytest.approx(0.25)


def test_a_late_transform_is_waited_for():
    buffer = filled()
    late = threading.Timer(0.05, buffer.add, (message("world", "arm", 3.0, 3.0), False))
    late.start()
    T = buffer.lookup("world", "camera", int(2.5 * SECOND), 30.0)
    late.join()
    assert T[0, 3] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "target, source, seconds, code",
    [
        ("world", "camera", 2.5, "tf_late"),
        ("world", "camera", 0.5, "tf_early"),
        ("world", "gripper", 1.5, "tf_unknown"),
        ("world", "", 1.5, "tf_no_frame"),
    ],
)
def test_what_does_not_come_is_a_reason(target, source, seconds, code):
    with pytest.raises(InputError) as refused:
        filled().lookup(target, source, int(seconds * SECOND), 0.01)
    assert refused.value.code == code


def test_a_camera_is_its_own_fixed_frame_without_any_transform():
    assert np.array_equal(TfBuffer().lookup("camera", "/camera", 5, 0.0), np.eye(4))


def test_after_a_jump_back_the_old_motion_is_forgotten():
    buffer = filled()
    buffer.add(message("world", "arm", 100.0, 9.0), static=False)
    buffer.add(message("world", "arm", 1.0, 5.0), static=False)
    assert buffer.lookup("world", "camera", SECOND, 0.0)[0, 3] == 5.0
    assert buffer.newest_ns() == SECOND
    with pytest.raises(InputError, match="after the last"):
        buffer.lookup("world", "camera", 50 * SECOND, 0.0)


def test_a_transform_that_cannot_be_meant_is_refused_and_the_rest_holds():
    buffer = filled()
    with pytest.raises(InputError):
        buffer.add(message("world", "arm", 3.0, float("nan")), static=False)
    assert buffer.lookup("world", "camera", 2 * SECOND, 0.0)[0, 3] == 1.0
