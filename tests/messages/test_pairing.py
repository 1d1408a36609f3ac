"""Messages that belong together find each other by stamp; memory is bounded; the newest wins. Times are arguments."""

from __future__ import annotations

from types import SimpleNamespace as Message

import numpy as np
import pytest

from pose_node.errors import InputError
from pose_node.messages.pairing import Frame, Pairing, TfQueue


def stamped(stamp: int, frame_id: str = "camera", **more) -> Message:
    return Message(header=Message(stamp=Message(sec=stamp, nanosec=0), frame_id=frame_id), **{"data": b"", **more})


@pytest.fixture
def refusals():
    return []


@pytest.fixture
def pairing(refusals):
    return Pairing(0.5, lambda code, sentence: refusals.append(code))


def test_depth_waits_for_the_info_of_its_stamp(pairing, refusals):
    depth, info = stamped(1), stamped(1)
    pairing.add_measurement(depth, True, 10.0)
    assert pairing.take(10.0, masked=False) is None
    pairing.add_info(info)
    frame = pairing.take(10.1, masked=False)
    assert (frame.message, frame.info, frame.mask, frame.arrived_s) == (depth, info, None, 10.0)
    assert pairing.take(10.2, masked=False) is None
    assert refusals == []


def test_a_static_info_serves_all_images_of_its_frame(pairing):
    info = stamped(0)
    pairing.add_info(info)
    for stamp in (1, 2, 3):
        pairing.add_measurement(stamped(stamp), True, stamp)
        assert pairing.take(stamp, masked=False).info is info


def test_once_stamps_have_matched_the_info_of_the_same_stamp_is_awaited(pairing):
    old = stamped(1)
    pairing.add_info(old)
    pairing.add_measurement(stamped(1), True, 10.0)
    assert pairing.take(10.0, masked=False).info is old
    pairing.add_measurement(stamped(2), True, 11.0)
    assert pairing.take(11.1, masked=False) is None
    new = stamped(2)
    pairing.add_info(new)
    assert pairing.take(11.2, masked=False).info is new
    pairing.add_measurement(stamped(3), True, 12.0)
    assert pairing.take(12.6, masked=False).info is new  # its own never came


def test_take_each_returns_every_complete_frame_in_order(pairing, refusals):
    """A measurement that waits for its mask is not dropped for a newer one."""
    for stamp in (1, 2, 3):
        pairing.add_measurement(stamped(stamp), False, 10.0)
    pairing.add_mask(stamped(2))
    pairing.add_mask(stamped(3))
    assert [f.message.header.stamp.sec for f in pairing.take_each(10.1, masked=True)] == [2, 3]
    pairing.add_mask(stamped(1))
    assert [f.message.header.stamp.sec for f in pairing.take_each(10.2, masked=True)] == [1]
    pairing.add_measurement(stamped(4), False, 10.3)
    assert pairing.take_each(10.9, masked=True) == [] and refusals == ["no_mask"]


def test_a_depth_image_without_info_is_refused_after_the_wait(pairing, refusals):
    pairing.add_info(stamped(7, "another_camera"))
    pairing.add_measurement(stamped(1), True, 10.0)
    assert pairing.take(10.4, masked=False) is None
    assert refusals == []
    assert pairing.take(10.6, masked=False) is None
    assert refusals == ["no_camera_info"]


def test_a_cloud_needs_no_info(pairing):
    cloud = stamped(1)
    pairing.add_measurement(cloud, False, 1.0)
    assert pairing.take(1.0, masked=False).message is cloud


def test_masks_are_awaited_only_where_they_are_published(pairing, refusals):
    pairing.add_measurement(stamped(1), False, 1.0)
    assert pairing.take(1.0, masked=True) is None
    mask = stamped(1)
    pairing.add_mask(stamped(2))
    assert pairing.take(1.1, masked=True) is None
    pairing.add_mask(mask)
    assert pairing.take(1.2, masked=True).mask is mask
    pairing.add_measurement(stamped(3), False, 2.0)
    assert pairing.take(2.6, masked=True) is None
    assert refusals == ["no_mask"]


def test_the_newest_complete_frame_wins(pairing, refusals):
    for stamp in (1, 2, 3):
        pairing.add_measurement(stamped(stamp), False, 1.0)
    pairing.add_mask(stamped(1))
    pairing.add_mask(stamped(2))
    assert pairing.take(1.0, masked=True).message.header.stamp.sec == 2
    assert refusals == ["superseded"]
    pairing.add_mask(stamped(3))
    assert pairing.take(1.1, masked=True).message.header.stamp.sec == 3


def test_stamps_may_jump_back_as_in_a_bag_that_loops(pairing):
    for stamp in (8, 9, 1, 2):
        pairing.add_info(stamped(stamp))
        pairing.add_measurement(stamped(stamp), True, 1.0)
        assert pairing.take(1.0, masked=False).message.header.stamp.sec == stamp


def test_memory_is_bounded_by_number_and_by_bytes(refusals):
    pairing = Pairing(1e9, lambda code, sentence: refusals.append(code))
    for stamp in range(1000):
        pairing.add_measurement(stamped(stamp), True, 0.0)
        pairing.add_mask(stamped(stamp))
        pairing.add_info(stamped(stamp, "another_camera"))
    assert len(pairing._waiting) == 8
    assert len(pairing._masks) == len(pairing._infos) == 16
    assert refusals == ["superseded"] * 992
    for stamp in range(3):
        pairing.add_measurement(stamped(stamp, data=bytes(40 << 20)), True, 0.0)
    assert len(pairing._waiting) == 1


class Poses:
    """The camera's pose is known up to a stamp, and may come for all later ones."""

    def __init__(self, until: int) -> None:
        self.until = until

    def may_come(self, frame: Frame) -> bool:
        return frame.message.header.stamp.sec > self.until


def test_frames_wait_for_the_cameras_pose_and_the_newest_with_one_wins(refusals):
    queue, poses = TfQueue(lambda code, sentence: refusals.append(code)), Poses(0)
    for stamp in (1, 2, 3):
        queue.add(Frame(stamped(stamp), 0.0), 10.0)
        assert queue.take(10.0, 0.2, poses.may_come) is None
    poses.until = 2
    assert queue.take(10.1, 0.2, poses.may_come).message.header.stamp.sec == 2
    assert refusals == ["superseded"]
    assert queue.take(10.1, 0.2, poses.may_come) is None, "the third still waits"
    assert queue.take(10.3, 0.2, poses.may_come).message.header.stamp.sec == 3, "it has waited for long enough"
    assert queue.take(99.0, 0.2, poses.may_come) is None


def taken_with_poses_late(by: int, frames: int, refusals) -> list[int]:
    """The stamps that are taken of frames a second apart, each of whose poses comes so many seconds later."""
    queue, poses, taken = TfQueue(lambda code, sentence: refusals.append(code)), Poses(-1), []
    for stamp in range(frames):
        poses.until = stamp - by
        queue.add(Frame(stamped(stamp), 0.0), float(stamp))
        frame = queue.take(float(stamp), 50.0, poses.may_come)
        taken += [] if frame is None else [frame.message.header.stamp.sec]
        assert len(queue) <= 8
    return taken


def test_a_pose_that_is_always_late_costs_no_frame(refusals):
    assert taken_with_poses_late(3, 30, refusals) == list(range(27)) and refusals == []


def test_with_poses_later_than_the_queue_is_long_frames_still_pass(refusals):
    taken = taken_with_poses_late(20, 200, refusals)
    assert len(taken) >= 8 * 8 and taken == sorted(taken)


def test_waiting_frames_are_bounded_by_their_bytes(refusals):
    queue = TfQueue(lambda code, sentence: refusals.append(code))
    for stamp in range(3):
        queue.add(Frame(stamped(stamp, data=bytes(40 << 20)), 0.0), 0.0)
    assert len(queue) == 1 and refusals == ["superseded"] * 2


def labels(values) -> Message:
    values = np.array(values, np.uint8)
    return stamped(
        1, encoding="mono8", height=values.shape[0], width=values.shape[1], step=values.shape[1], is_bigendian=0, data=values.tobytes()
    )  # fmt: skip


def test_masks_by_label_or_for_the_only_object():
    cloud = Message(shape=(2, 2))
    frame = Frame(stamped(1), 0.0, mask=labels([[0, 3], [4, 3]]))
    assert set(frame.masks(cloud, {4: "mug"}, ("mug", "bowl"))) == {"mug"}
    both = frame.masks(cloud, {}, ("mug",))["mug"]
    np.testing.assert_array_equal(both, [[[False, True], [False, True]], [[False, False], [True, False]]])
    assert Frame(stamped(1), 0.0).masks(cloud, {}, ("mug",)) is None
    with pytest.raises(InputError, match="mask_labels") as caught:
        frame.masks(cloud, {}, ("mug", "bowl"))
    assert caught.value.code == "mask_labels"


def test_an_info_of_another_frame_is_refused_even_at_the_same_stamp():
    with pytest.raises(InputError, match="'other'") as caught:
        Frame(stamped(1), 0.0, info=stamped(1, "other")).cloud(True)
    assert caught.value.code == "frame_mismatch"


def test_an_info_without_a_frame_fits_any_image(pairing):
    """Nor does one of ROS 1, which may have a slash in front."""
    for name in ("", "/camera"):
        pairing.add_info(stamped(0, name))
        pairing.add_measurement(stamped(1), True, 1.0)
        assert pairing.take(1.0, masked=False).info.header.frame_id == name


@pytest.mark.parametrize("frame_id", ["", "/camera"])
def test_a_mask_of_no_other_frame_is_used(frame_id):
    frame = Frame(stamped(1), 0.0, mask=labels([[0, 3]]))
    frame.mask.header.frame_id = frame_id
    assert set(frame.masks(Message(shape=(1, 2)), {}, ("mug",))) == {"mug"}


def test_a_mask_of_another_frame_is_refused():
    frame = Frame(stamped(1), 0.0, mask=labels([[0, 3]]))
    frame.mask.header.frame_id = "colour"
    with pytest.raises(InputError, match="found frame 'colour', expected the measurement's 'camera'") as caught:
        frame.masks(Message(shape=(1, 2)), {}, ("mug",))
    assert caught.value.code == "mask_frame"


@pytest.mark.parametrize("each", [False, True])
def test_two_measurements_of_one_stamp_get_no_mask(pairing, refusals, each):
    """Neither of two that wait together, nor a second one when the first has gone with its own."""

    def take():
        return pairing.take_each(1.0, masked=True) if each else pairing.take(1.0, masked=True)

    pairing.add_mask(stamped(1))
    pairing.add_measurement(stamped(1, data=b"a"), False, 1.0)
    pairing.add_measurement(stamped(1, data=b"b"), False, 1.0)
    assert not take() and refusals == ["stamp_ambiguous"] * 2
    pairing.add_mask(stamped(2))
    pairing.add_measurement(stamped(2, data=b"c"), False, 1.0)
    assert take()
    pairing.add_mask(stamped(2))
    pairing.add_measurement(stamped(2, data=b"d"), False, 1.0)
    assert not take() and refusals == ["stamp_ambiguous"] * 3
    pairing.add_measurement(stamped(2, data=b"e"), False, 1.0)
    got = pairing.take_each(1.0, masked=False) if each else pairing.take(1.0, masked=False)
    assert got, "where no masks are sent it needs none"
    pairing.add_mask(stamped(3))
    pairing.add_measurement(stamped(3, data=b"e"), False, 1.0)
    assert take(), "the next stamp is another one"


def test_a_measurement_that_is_sent_again_is_the_same(pairing, refusals):
    """As one frame of a recording that is played in a loop."""
    pairing.add_mask(stamped(1))
    for _ in range(3):
        pairing.add_measurement(stamped(1, data=b"a"), False, 1.0)
        assert pairing.take(1.0, masked=True) is not None
    assert refusals == []
