"""Transforms between threads: what comes in time is used, what does not is a reason and never an identity."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pose_node.errors import InputError
from pose_node.messages.tf_buffer import TfBuffer

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
    T = filled().lookup("world", "camera", int(1.25 * SECOND))
    assert T[0, 3] == pytest.approx(0.25)


@pytest.mark.parametrize(
    "target, source, seconds, code, may_come",
    [
        ("world", "camera", 2.5, "tf_late", True),
        ("world", "camera", 0.5, "tf_early", False),
        ("world", "gripper", 1.5, "tf_unknown", True),
        ("world", "", 1.5, "tf_no_frame", False),
    ],
)
def test_a_missing_transform_has_a_reason_and_may_come_or_not(target, source, seconds, code, may_come):
    with pytest.raises(InputError) as refused:
        filled().lookup(target, source, int(seconds * SECOND))
    assert refused.value.code == code
    assert filled().may_come(target, source, int(seconds * SECOND)) == may_come


def test_an_added_transform_is_found():
    buffer = filled()
    buffer.add(message("world", "arm", 3.0, 3.0), False)
    assert not buffer.may_come("world", "camera", int(2.5 * SECOND))
    assert buffer.lookup("world", "camera", int(2.5 * SECOND))[0, 3] == pytest.approx(2.0)


def test_a_camera_is_its_own_fixed_frame_without_any_transform():
    assert np.array_equal(TfBuffer().lookup("camera", "/camera", 5), np.eye(4))


def test_after_a_jump_back_the_new_motion_is_used():
    buffer = filled()
    buffer.add(message("world", "arm", 100.0, 9.0), static=False)
    buffer.add(message("world", "arm", 1.0, 5.0), static=False)
    assert buffer.lookup("world", "camera", SECOND)[0, 3] == 5.0
    assert buffer.newest_ns("world", "camera") == SECOND
    with pytest.raises(InputError, match="after the last"):
        buffer.lookup("world", "camera", 2 * SECOND)


@pytest.mark.parametrize("stamp_s", [0.0, 0.4])
def test_another_publisher_with_other_stamps_changes_nothing(stamp_s):
    buffer = filled()
    buffer.add(message("elsewhere", "cup", stamp_s), static=False)
    assert buffer.lookup("world", "camera", int(1.25 * SECOND))[0, 3] == pytest.approx(0.25)


def test_a_post_dated_edge_expires_no_other():
    """A localisation that dates its transform a second ahead, as Nav2's do, and an arm that is 80 ms late."""
    buffer = TfBuffer()
    for k in range(40):
        now = 10.0 + 0.05 * k
        buffer.add(message("map", "odom", now + 1.0), static=False)
        buffer.add(message("odom", "camera", now - 0.08, 1.0), static=False)
        if k > 25:
            buffer.lookup("map", "camera", int((now - 0.1) * SECOND))
    assert buffer.newest_ns("map", "camera") == int((now - 0.08) * SECOND)


def test_the_nodes_own_frames_are_ignored():
    buffer = TfBuffer(own_prefix="pose_node/")
    buffer.add(message("world", "pose_node/mug_1", 1.0), static=False)
    buffer.add(message("world", "arm", 1.0), static=False)
    assert buffer.lookup("world", "arm", SECOND)[0, 3] == 0.0
    with pytest.raises(InputError, match="found frames arm, world, expected 'pose_node/mug_1'"):
        buffer.lookup("world", "pose_node/mug_1", SECOND)


def test_an_invalid_transform_is_refused_and_the_others_are_added():
    buffer = filled()
    with pytest.raises(InputError):
        buffer.add(message("world", "arm", 3.0, float("nan")), static=False)
    assert buffer.lookup("world", "camera", 2 * SECOND)[0, 3] == 1.0
    both = message("world", "arm", 3.0, float("nan"))
    both.transforms += message("world", "cup", 3.0, 2.0).transforms
    with pytest.raises(InputError):
        buffer.add(both, static=False)
    assert buffer.lookup("world", "cup", 3 * SECOND)[0, 3] == 2.0
