"""Frames of a recording: the input of the node, and notes on what is lost."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from bag_writing import (
    KINDS,
    ROS1_KINDS,
    SECOND,
    SHAPE,
    depth_mm,
    depth_recording,
    image,
    info,
    label,
    moved,
    packed,
    points,
    write_bag,
)

from pose_node.errors import InputError
from pose_node.evaluation.sources.bags import BagFrames

START = 100 * SECOND


def frames_of(tmp_path, messages, **options):
    bag = BagFrames(write_bag(tmp_path / "drive", messages), **options)
    return list(bag), bag


def without(messages, topic):
    return [m for m in messages if m[0] != topic]


@pytest.mark.parametrize("kind", [*KINDS, *ROS1_KINDS])
def test_depth_with_info_and_motion(tmp_path, kind):
    """Clouds, stamps and the camera's place between two transforms, from every storage alike."""
    bag = BagFrames(write_bag(tmp_path / "drive", depth_recording(4), kind))
    frames = list(bag)
    assert bag.notes == [] and len(bag) == 4 and bag.fixed_frame == "world"
    for number, frame in enumerate(frames):
        assert (frame.scene, frame.frame, frame.refused) == ("drive", f"{number:06d}", None)
        assert frame.stamp_ns == frame.cloud.stamp_ns == START + number * SECOND // 5
        z = np.zeros(SHAPE)
        z.ravel()[frame.cloud.source_index] = frame.cloud.points_m[:, 2]
        np.testing.assert_allclose(z, depth_mm(number) / 1000.0, atol=1e-6)
        np.testing.assert_allclose(frame.T_fixed_camera[:3, 3], (0.1 * number, 0.0, 0.0), atol=1e-9)
    assert [f.stamp_ns for f in bag] == [f.stamp_ns for f in frames]  # again


def test_point_clouds_need_nothing_else(tmp_path, rng):
    xyz = rng.uniform(0.5, 1.0, (50, 3))
    frames, bag = frames_of(tmp_path, [("/points", START + i, points(START + i, xyz)) for i in range(3)])
    assert len(frames) == 3 and bag.fixed_frame is None
    np.testing.assert_allclose(frames[1].cloud.points_m, xyz, atol=1e-6)
    assert all(frame.T_fixed_camera is None for frame in frames)


def test_point_clouds_in_another_frame_are_seen_from_the_one_that_is_named(tmp_path, rng):
    xyz = rng.uniform(0.5, 1.0, (50, 3))
    messages = []
    for i in range(3):
        stamp = START + i * SECOND // 10
        cloud = points(stamp, xyz)
        cloud.header.frame_id = "world"
        messages += [("/points", stamp, cloud), ("/tf", stamp, moved(stamp, 0.1 * (i + 1)))]
    frames, _ = frames_of(tmp_path, messages, viewpoint_frame="camera")
    assert [frame.cloud.viewpoint_m[0] for frame in frames] == pytest.approx([0.1, 0.2, 0.3])
    (lost, *_), _ = frames_of(tmp_path / "unknown", messages, viewpoint_frame="gripper")
    assert lost.cloud is None and lost.refused.code == "tf_unknown" and "gripper" in lost.refused.reason


def test_a_viewpoint_frame_is_of_no_use_to_depth_images(tmp_path):
    frames, bag = frames_of(tmp_path, depth_recording(), viewpoint_frame="world")
    assert not frames[0].cloud.viewpoint_m.any()
    assert bag.notes == ["viewpoint frame 'world': not used, as depth images are in their camera's frame."]


def test_compressed_depth(tmp_path):
    messages = []
    for number in range(3):
        stamp = START + number * SECOND
        messages.append(("/camera/depth/camera_info", stamp, info(stamp)))
        messages.append(("/camera/depth/image_raw/compressedDepth", stamp, packed(stamp, depth_mm(number))))
    frames, bag = frames_of(tmp_path, messages)
    assert bag.topics.info == "/camera/depth/camera_info" and bag.notes == []
    assert [len(f.cloud) for f in frames] == [np.prod(SHAPE) - 1] * 3


def test_invalid_compressed_depth_is_noted_once_with_its_count(tmp_path):
    messages = []
    for number in range(3):
        stamp = START + number * SECOND
        broken = packed(stamp, depth_mm(number))
        broken.format = "16UC1; compressedDepth rvl"
        messages += [("/depth/camera_info", stamp, info(stamp)), ("/depth/compressedDepth", stamp, broken)]
    frames, bag = frames_of(tmp_path, messages)
    assert frames == [] and bag.notes[-1].startswith("3 times data: compressed depth: found RVL of ")


def test_masks_are_found_by_name_and_labels(tmp_path):
    messages = depth_recording(3)
    labels = np.zeros(SHAPE, np.uint8)
    labels[8:16, 10:20] = 7
    messages += [
        ("/segment/mask", when, image(when, labels, "mono8")) for topic, when, _ in messages if "image" in topic
    ]
    messages.sort(key=lambda m: m[1])
    frames, _ = frames_of(tmp_path, messages, objects=["box", "can"], labels={7: "box"})
    assert [list(f.masks) for f in frames] == [["box"]] * 3
    assert frames[0].masks["box"][0].sum() == 80
    bag = BagFrames(tmp_path / "drive", objects=["box"])
    assert [list(f.masks) for f in bag] == [["box"]] * 3
    bag = BagFrames(tmp_path / "drive", objects=["box", "can"])
    assert all(f.masks is None for f in bag) and "masks were left out" in bag.notes[0]


def stamps_of(messages):
    return [when for topic, when, _ in messages if topic == "/depth/image_rect"]


def test_labels_inside_are_found_by_name_and_number(tmp_path):
    """By an object's name, its BOP id or a mask's value; several instances each on their own topic."""
    messages = depth_recording(3)
    for stamp in stamps_of(messages):
        messages += [
            ("/labels/can/2/pose", stamp, label(stamp, 0.2)),
            ("/labels/can/10/pose", stamp, label(stamp, 0.3)),
            ("/robot/labels/5/pose", stamp, label(stamp, 0.1)),
            ("/labels/7/pose", stamp, label(stamp, 0.7)),
            ("/labels/spoon/pose", stamp, label(stamp, 9.0)),
            ("/not_labels/can/pose", stamp, label(stamp, 8.0)),
        ]
    frames, bag = frames_of(tmp_path, messages, objects=["box", "can", "cup"], ids={5: "box"}, labels={7: "cup"})
    for frame in frames:
        found = [(name, instance, T[0, 3]) for name, instance, T in frame.labels]
        assert found == [("box", 0, 0.1), ("can", 0, 0.2), ("can", 1, 0.3), ("cup", 0, 0.7)]
    assert bag.notes == ["labels: 3 of spoon left out, as these objects are not looked for."]


def test_labels_in_a_frame_known_to_tf_are_moved_into_the_cameras(tmp_path):
    """A thing at x = 0.25 of the world, while the camera goes by; the transforms come after the images."""
    messages = depth_recording(4)
    messages += [("/labels/can/pose", stamp, label(stamp, 0.25, "world")) for stamp in stamps_of(messages)]
    frames, bag = frames_of(tmp_path, sorted(messages, key=lambda m: m[1]), objects=["can"])
    assert bag.notes == []
    np.testing.assert_allclose(
        [f.labels[0].T_camera_object[0, 3] for f in frames], 0.25 - 0.1 * np.arange(4), atol=1e-9
    )


def test_labels_may_be_recorded_after_their_measurement(tmp_path):
    messages = depth_recording(6)
    late = [("/labels/can/pose", stamp + SECOND // 2, label(stamp, 0.1)) for stamp in stamps_of(messages)]
    frames, bag = frames_of(tmp_path, sorted([*messages, *late], key=lambda m: m[1]), objects=["can"])
    assert [len(f.labels) for f in frames] == [1] * 6 and bag.notes == []


def test_labels_that_cannot_be_used_are_counted(tmp_path):
    messages = depth_recording(5)
    stamps = stamps_of(messages)
    bad = label(stamps[2])
    bad.pose.orientation.w = 0.0
    wrong = [label(stamps[0], frame_id=""), label(0), bad, label(stamps[3], frame_id="moon"), label(stamps[4] + 1)]
    messages += [("/labels/can/pose", stamp, one) for stamp, one in zip(stamps, wrong)]
    frames, bag = frames_of(tmp_path, sorted(messages, key=lambda m: m[1]), objects=["can"])
    assert [f.scene for f in frames] == ["drive"] * 5 and all(f.labels == () for f in frames)
    told = "\n".join(bag.notes)
    assert "4 times label_unplaced: label: found stamp" in told and "1 times label_unmatched" in told


def test_topics_can_be_named_and_colour_is_no_depth(tmp_path):
    messages = depth_recording(2)
    colour = np.zeros(SHAPE, np.uint8)
    for number in range(2):
        stamp = START + number * SECOND // 5
        messages.append(("/colour", stamp, image(stamp, colour, "mono8")))
        messages.append(("/other/depth/image", stamp, image(stamp, depth_mm(9), "16UC1")))
        messages.append(("/other/depth/camera_info", stamp, info(stamp)))
    bag = BagFrames(write_bag(tmp_path / "drive", messages))
    assert bag.topics.depth == "/depth/image_rect" and "took /depth/image_rect" in bag.notes[0]
    named = BagFrames(tmp_path / "drive", topics={"depth": "/other/depth/image"})
    assert (named.topics.info, len(list(named))) == ("/other/depth/camera_info", 2)
    for topics in ({"depth": "/colou"}, {"points": "/colour"}, {"colour": "/colour"}):
        with pytest.raises(InputError, match="expected"):
            BagFrames(tmp_path / "drive", topics=topics)


def test_missing_camera_info_is_one_sentence(tmp_path):
    path = write_bag(tmp_path / "drive", without(depth_recording(3), "/depth/camera_info"))
    with pytest.raises(InputError, match="without camera info"):
        BagFrames(path)


def test_wrong_types_are_one_sentence(tmp_path):
    path = write_bag(tmp_path / "drive", [("/tf", START, moved(START, 0.0))])
    with pytest.raises(InputError, match="expected a PointCloud2"):
        BagFrames(path)


def unstamped(messages):
    for _, _, message in messages:
        for part in getattr(message, "transforms", [message]):
            part.header.stamp.sec = part.header.stamp.nanosec = 0
    return messages


def numbered_masks(messages):
    """A mask for each image; its object grows by a pixel from frame to frame."""
    masks = []
    for number, stamp in enumerate(stamps_of(messages)):
        labels = np.zeros(SHAPE, np.uint8)
        labels.ravel()[: 10 + number] = 7
        masks.append(("/mask", stamp, image(stamp, labels, "mono8")))
    return masks


def test_without_stamps_the_time_of_recording_is_used(tmp_path):
    """Masks go with the measurement that was recorded with them, frames and the camera's place with the time of recording."""
    messages = depth_recording(4)
    messages = [m for m in messages if m[0] != "/tf"] + numbered_masks(messages)
    messages += [("/tf", START + i * SECOND // 5, moved(START, i)) for i in range(4)]
    # All depth images before all masks: by arrival alone each frame would get the last mask.
    messages = sorted(messages, key=lambda m: (m[0] == "/mask", m[1]))
    frames, bag = frames_of(tmp_path, unstamped(messages), objects=["box"])
    assert [frame.masks["box"][0].sum() for frame in frames] == [10, 11, 12, 13]
    assert [frame.stamp_ns for frame in frames] == stamps_of(messages)
    np.testing.assert_allclose([frame.T_fixed_camera[0, 3] for frame in frames], range(4), atol=1e-9)
    assert "found stamp 0, expected the time of measurement; the time of recording is used" in bag.notes[0]


def test_without_stamps_masks_of_other_moments_are_refused(tmp_path):
    """A mask that was recorded later may be of any image before it."""
    messages = depth_recording(4)
    late = [(topic, when + SECOND // 20, message) for topic, when, message in numbered_masks(messages)]
    frames, bag = frames_of(tmp_path, unstamped(sorted([*messages, *late], key=lambda m: m[1])), objects=["box"])
    assert frames == []
    assert bag.notes[-1].startswith("4 times no_mask: mask: found none of the measurement's stamp")


def test_measurements_with_one_stamp_are_given_no_mask(tmp_path):
    messages = depth_recording(4)
    messages += numbered_masks(messages)
    for topic, _, message in messages:
        if topic != "/tf":
            message.header.stamp.sec, message.header.stamp.nanosec = 99, 5
    frames, bag = frames_of(tmp_path, sorted(messages, key=lambda m: m[1]), objects=["box"])
    assert [frame.masks["box"][0].sum() for frame in frames] == [10], "the first had its own when the second came"
    assert "3 times stamp_ambiguous: measurement: found the stamp 99000000005 ns twice in a row" in bag.notes[-1]


def test_depth_and_info_out_of_step_use_the_last_info(tmp_path):
    """Infos with other stamps serve, as they do in the node."""
    messages = without(depth_recording(4), "/depth/camera_info")
    messages += [("/depth/camera_info", START + 7 + i * SECOND, info(START + 7 + i * SECOND)) for i in range(3)]
    messages.sort(key=lambda m: m[1])
    frames, _ = frames_of(tmp_path, messages)
    assert len(frames) == 4 and all(f.cloud is not None for f in frames)


def test_an_image_of_another_size_is_a_frame_with_its_reason(tmp_path):
    messages = depth_recording(3)
    small = image(START + SECOND // 5, depth_mm(0)[:10, :10].copy(), "16UC1")
    messages = [
        (t, w, small) if (t, w) == ("/depth/image_rect", START + SECOND // 5) else (t, w, m) for t, w, m in messages
    ]
    frames, _ = frames_of(tmp_path, messages)
    assert [f.refused.code if f.refused else None for f in frames] == [None, "size_mismatch", None]
    assert frames[1].cloud is None


def test_a_looped_clock_starts_another_scene(tmp_path):
    """Played twice and recorded as it went: the stamps fall back, the time of recording goes on."""
    once = depth_recording(10)
    twice = once + [(topic, when + 60 * SECOND, message) for topic, when, message in once]
    frames, bag = frames_of(tmp_path, twice)
    assert [f.scene for f in frames] == ["drive"] * 10 + ["drive_2"] * 10
    places = np.array([f.T_fixed_camera[0, 3] for f in frames])
    np.testing.assert_allclose(places, np.tile(0.1 * np.arange(10), 2), atol=1e-9)
    assert any("clock was set back" in note for note in bag.notes)


@pytest.mark.parametrize(("back_s", "scenes"), [(0.3, 1), (0.99, 1), (1.2, 2)])
def test_stamps_that_fall_back_a_little_are_out_of_order_and_no_new_clock(tmp_path, back_s, scenes):
    """The last measurement is an older one that came late: it stays where it was recorded, with the camera's place of its
    own stamp. Only a fall of more than a second is another clock."""
    messages = depth_recording(10)
    stamp = START + 9 * SECOND // 5 - int(back_s * SECOND)
    end = messages[-1][1]
    late = [("/depth/camera_info", end, info(stamp)), ("/depth/image_rect", end, image(stamp, depth_mm(3), "16UC1"))]
    frames, bag = frames_of(tmp_path, [*messages, *late])
    assert len({f.scene for f in frames}) == scenes and len(frames) == 11
    assert frames[-1].stamp_ns == stamp
    if scenes == 1:
        assert bag.notes == []
        np.testing.assert_allclose(frames[-1].T_fixed_camera[0, 3], 0.5 * (stamp - START) / SECOND, atol=1e-6)
    else:
        assert "clock was set back" in bag.notes[0]


def test_two_measurements_that_changed_places_are_both_used(tmp_path):
    messages = depth_recording(6)
    images = [i for i, (topic, _, _) in enumerate(messages) if topic == "/depth/image_rect"]
    a, b = images[2], images[3]
    messages[a], messages[b] = ((messages[i][0], messages[j][1], messages[i][2]) for i, j in ((b, a), (a, b)))
    frames, bag = frames_of(tmp_path, messages)
    steps = [(f.stamp_ns - START) // (SECOND // 5) for f in frames]
    assert sorted(steps) == list(range(6)) and {f.scene for f in frames} == {"drive"} and bag.notes == []


def test_the_fixed_frame_is_the_root_even_when_it_comes_late(tmp_path):
    messages = without(depth_recording(3), "/tf")
    messages.append(("/tf_static", START, moved(START, 0.5, "mount", "camera")))
    messages += [
        ("/tf", START + i * SECOND // 5, moved(START + i * SECOND // 5, i, "map", "mount")) for i in range(1, 3)
    ]
    messages.sort(key=lambda m: m[1])
    frames, bag = frames_of(tmp_path, messages)
    assert bag.fixed_frame == "map"
    assert frames[0].T_fixed_camera is None and "tf_early" in bag.notes[-1]
    np.testing.assert_allclose([f.T_fixed_camera[0, 3] for f in frames[1:]], [1.5, 2.5])
    bag = BagFrames(tmp_path / "drive", fixed_frame="mount")
    np.testing.assert_allclose([f.T_fixed_camera[0, 3] for f in bag], [0.5, 0.5, 0.5])


def test_transforms_of_other_frames_give_a_note(tmp_path):
    messages = [*without(depth_recording(2), "/tf"), ("/tf", START, moved(START, 1.0, "a", "b"))]
    frames, bag = frames_of(tmp_path, messages)
    assert len(frames) == 2 and all(f.T_fixed_camera is None for f in frames)
    assert "motion is unknown" in bag.notes[0]


@pytest.mark.parametrize("kind", ["mcap", "mcap_chunks", "sqlite", "bag_bz2"])
def test_a_recording_cut_anywhere_gives_frames_or_one_sentence(tmp_path, rng, kind):
    """Fifty cuts: the frames before the cut as they were, with a note, or an InputError that says what is missing."""
    path = write_bag(tmp_path / "drive", depth_recording(5), kind)
    file = next(p for p in path.iterdir() if p.name != "metadata.yaml") if path.is_dir() else path
    whole = file.read_bytes()
    some = 0
    for at in rng.integers(0, len(whole), 50).tolist():
        file.write_bytes(whole[:at])
        try:
            bag = BagFrames(path)
            frames = list(bag)
        except InputError as error:
            assert "expected" in str(error)
            continue
        some += 1
        assert bag.notes or len(frames) == 5
        for number, frame in enumerate(frames):
            assert frame.stamp_ns == START + number * SECOND // 5
            np.testing.assert_allclose(frame.cloud.points_m[-1, 2], (1000 + number) / 1000.0, atol=1e-6)
    assert some


def test_a_frame_is_the_same_where_its_messages_are_sent(tmp_path):
    bag = BagFrames(write_bag(tmp_path / "drive", depth_recording(2)))
    for frame, raw in zip(bag, bag.raw()):
        sent = pickle.loads(pickle.dumps(raw)).convert()
        assert sent.cloud.points_m.tobytes() == frame.cloud.points_m.tobytes()
        assert sent[:2] == frame[:2] and sent.stamp_ns == frame.stamp_ns


def test_realtime_drops_frames_while_the_worker_is_busy(tmp_path, monkeypatch):
    """A worker of 0.5 s meets five frames a second: of each two or three, the latest_only."""
    bag = BagFrames(write_bag(tmp_path / "drive", depth_recording(10)), realtime=True)
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr("pose_node.evaluation.sources.realtime.latest_only.__defaults__", (lambda: now.s,))
    seen = []
    for frame in bag:
        now.s += 0.5
        seen.append(((frame.stamp_ns - START) // (SECOND // 5), frame.dropped))
    assert seen == [(0, 0), (2, 1), (5, 2), (7, 1), (9, 1)]


def test_a_real_arm_moves_its_camera(data_folder):
    bag = BagFrames(data_folder / "apc_shelf" / "apc_shelf_depth_tf.bag")
    frames = list(bag)
    assert len(frames) == 15 and bag.notes == [] and bag.fixed_frame == "world"
    assert all(f.T_fixed_camera is not None and len(f.cloud) > 100_000 for f in frames)


def test_a_real_point_cloud(data_folder):
    (frame,) = BagFrames(data_folder / "moveit_can" / "perception_tutorial.bag")
    assert frame.cloud.shape == (307_200,) and len(frame.cloud) == 233_301
