"""Which topics are selected of many, which camera info applies, and the sentence where none fits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from bag_writing import SECOND, SHAPE, STORE, depth_mm, image, info, packed, write_bag

from pose_node.errors import InputError
from pose_node.evaluation.sources.bags import BagFrames
from pose_node.evaluation.sources.topic_selection import ROLES

START = 100 * SECOND
MASK = np.zeros(SHAPE, np.uint8)
MASK[8:16, 10:20] = 7


def bag_of(tmp_path, images, infos=(), others=(), count=2, **options):
    """A recording of {topic: (values, encoding, frame)} and {topic: frame of a camera info}."""
    messages = []
    for stamp in (START + n * SECOND // 5 for n in range(count)):
        messages += [(t, stamp, image(stamp, v, encoding, frame)) for t, (v, encoding, frame) in dict(images).items()]
        messages += [(t, stamp, info(stamp, frame)) for t, frame in dict(infos).items()]
    return BagFrames(write_bag(tmp_path / "drive", [*messages, *others]), **options)


def metres(number=0):
    return depth_mm(number).astype(np.float32) / 1000.0


@pytest.mark.parametrize(
    "other",
    [
        "/zed/zed_node/confidence/confidence_map",
        "/a/confidence_map",
        "/a/disparity/image",
        "/camera/ir/image",
        "/camera/depth/infra1_rect",
        "/depth_camera/amplitude",
        "/instance_segmentation",
    ],
)
def test_an_image_named_as_something_else_is_no_depth(tmp_path, other):
    """It sorts before the depth, has a camera info beside it and an encoding that depth has."""
    where = f"{other.rpartition('/')[0]}/camera_info"
    images = {
        other: (metres(5), "32FC1", "camera"),
        "/zed/zed_node/depth/depth_registered": (metres(), "32FC1", "camera"),
    }
    bag = bag_of(tmp_path, images, {where: "camera", "/zed/zed_node/depth/camera_info": "camera"})
    assert bag.topics.depth == "/zed/zed_node/depth/depth_registered" and bag.notes == []


def test_an_image_named_as_something_else_is_not_selected_even_alone(tmp_path):
    with pytest.raises(InputError, match=r"/a/confidence_map \(encoding '32FC1', named as something else than depth\)"):
        bag_of(tmp_path, {"/a/confidence_map": (metres(), "32FC1", "camera")}, {"/a/camera_info": "camera"})
    bag = BagFrames(tmp_path / "drive", topics={"depth": "/a/confidence_map"})
    assert len(list(bag)) == 2, "named, so it applies"


def test_a_grey_image_of_a_camera_named_depth_goes_after_its_depth(tmp_path):
    images = {
        "/depth_camera/a/image": (depth_mm(0), "mono16", "camera"),
        "/depth_camera/b/image": (depth_mm(0), "16UC1", "camera"),
    }
    bag = bag_of(tmp_path, images, {"/depth_camera/a/camera_info": "camera", "/depth_camera/b/camera_info": "camera"})
    assert bag.topics.depth == "/depth_camera/b/image"


def test_depth_by_name_goes_before_an_image_that_only_could_be(tmp_path):
    images = {"/a/image": (metres(3), "32FC1", "camera"), "/z/depth/image": (metres(), "32FC1", "camera")}
    bag = bag_of(tmp_path, images, {"/a/camera_info": "camera", "/z/depth/camera_info": "camera"})
    assert (bag.topics.depth, bag.topics.info) == ("/z/depth/image", "/z/depth/camera_info")


def two_cameras(tmp_path, **options):
    """As a RealSense records: depth of its own camera, depth aligned to the colour camera, and masks of the latter."""
    images = {
        "/camera/depth/image_rect_raw": (depth_mm(0), "16UC1", "depth_frame"),
        "/camera/aligned_depth_to_color/image_raw": (depth_mm(1), "16UC1", "colour_frame"),
        "/segmentation/mask": (MASK, "mono8", "colour_frame"),
    }
    infos = {"/camera/depth/camera_info": "depth_frame", "/camera/aligned_depth_to_color/camera_info": "colour_frame"}
    return bag_of(tmp_path, images, infos, objects=["box"], **options)


def test_of_several_depths_the_one_in_the_masks_frame(tmp_path):
    bag = two_cameras(tmp_path)
    assert bag.topics.depth == "/camera/aligned_depth_to_color/image_raw"
    assert [frame.masks["box"][0].sum() for frame in bag] == [80, 80]


def test_masks_of_another_frame_are_refused_in_a_sentence(tmp_path):
    bag = two_cameras(tmp_path, topics={"depth": "/camera/depth/image_rect_raw"})
    for frame in bag:
        assert frame.cloud is None and frame.refused.code == "mask_frame"
        assert "found frame 'colour_frame', expected the measurement's 'depth_frame'" in frame.refused.reason


def test_of_several_masks_the_one_in_the_measurements_frame(tmp_path):
    images = {
        "/depth/image": (depth_mm(0), "16UC1", "camera"),
        "/a/mask": (MASK, "mono8", "elsewhere"),
        "/a/mask_overlay": (MASK, "rgb8", "camera"),
        "/b/mask": (MASK, "mono8", "camera"),
    }
    bag = bag_of(tmp_path, images, {"/depth/camera_info": "camera"}, objects=["box"])
    assert bag.topics.mask == "/b/mask"


def test_grey_images_of_16_bits_are_depth_where_they_are_named_so(tmp_path):
    named = {
        "/camera/depth/image_raw": (depth_mm(0), "mono16", "camera"),
        "/camera/ir": (depth_mm(0), "mono16", "camera"),
    }
    bag = bag_of(tmp_path, named, {"/camera/depth/camera_info": "camera"})
    assert bag.topics.depth == "/camera/depth/image_raw"
    assert [len(frame.cloud) for frame in bag] == [np.prod(SHAPE) - 1] * 2
    unnamed = {"/camera/image_raw": (depth_mm(0), "mono16", "camera")}
    with pytest.raises(InputError, match=r"/camera/image_raw \(encoding 'mono16'\).*mono16 on a topic named depth"):
        bag_of(tmp_path / "unnamed", unnamed, {"/camera/camera_info": "camera"})
    bag = BagFrames(tmp_path / "unnamed" / "drive", topics={"depth": "/camera/image_raw"})
    assert [len(frame.cloud) for frame in bag] == [np.prod(SHAPE) - 1] * 2


@pytest.mark.parametrize("frame", ["", "elsewhere"])
@pytest.mark.parametrize("where", ["/camera/depth/camera_info", "/camera/camera_info", "/camera_info"])
def test_the_only_info_applies_whatever_its_frame(tmp_path, frame, where):
    bag = bag_of(tmp_path, {"/camera/depth/image_raw": (depth_mm(0), "16UC1", "camera")}, {where: frame})
    assert [f.refused for f in bag] == [None, None]
    (note,) = bag.notes
    assert f"found frame {frame!r} on the camera info {where}, expected the depth image's 'camera'" in note


def test_a_single_late_info_applies_to_all_frames(tmp_path):
    late = START + 60 * SECOND
    images = {"/depth/image": (depth_mm(0), "16UC1", "camera")}
    bag = bag_of(tmp_path, images, others=[("/depth/camera_info", late, info(late, "elsewhere"))], count=20)
    assert [frame.refused for frame in bag] == [None] * 20


def test_of_several_infos_one_that_states_the_frame_or_is_named_is_used(tmp_path):
    images = {"/depth/image": (depth_mm(0), "16UC1", "camera")}
    infos = {"/left/camera_info": "left", "/right/camera_info": ""}
    with pytest.raises(InputError, match=r"without camera info.*named .here /left/camera_info, /right/camera_info"):
        bag_of(tmp_path, images, infos)
    bag = BagFrames(tmp_path / "drive", topics={"info": "/left/camera_info"})
    assert [frame.refused for frame in bag] == [None, None] and "found frame 'left'" in bag.notes[0]
    bag = bag_of(tmp_path / "more", images, {**infos, "/z/camera_info": "/camera"})
    assert bag.topics.info == "/z/camera_info" and bag.notes == [] and len(list(bag)) == 2


def test_the_colour_cameras_info_alone_is_not_the_depth_cameras(tmp_path):
    images = {"/camera/depth/image": (depth_mm(0), "16UC1", "depth_frame")}
    with pytest.raises(InputError, match="without camera info"):
        bag_of(tmp_path, images, {"/camera/color/camera_info": "colour_frame"})


SENSOR = "/device_0/sensor_0"


def test_the_layout_of_the_realsense_sdk(tmp_path):
    """Depth_0/image/data beside Depth_0/info/camera_info, which comes once, without a frame and with a name of its own for no
    distortion; grey in name."""
    once = info(0, "")
    once.distortion_model, once.p = "Brown Conrady", np.zeros(12)
    colour = info(0, "")
    colour.k = 2.0 * colour.k
    others = [
        (f"{SENSOR}/Depth_0/info/camera_info", 1, once),
        ("/device_0/sensor_1/Color_0/info/camera_info", 1, colour),
    ]
    images = {f"{SENSOR}/Depth_0/image/data": (depth_mm(0), "mono16", "0")}
    bag = bag_of(tmp_path, images, others=others)
    assert bag.topics.info == f"{SENSOR}/Depth_0/info/camera_info"
    for frame in bag:
        assert frame.cloud.K[0, 0] == 30.0 and np.median(frame.cloud.points_m[:, 2]) == pytest.approx(1.0)
    assert "found no depth units" in bag.notes[-1]


def test_depth_units_of_the_realsense_sdk(tmp_path):
    units = STORE.types["std_msgs/msg/Float32"](data=np.float32(0.00025))
    others = [(f"{SENSOR}/Depth_0/info/camera_info", 1, info(0, "")), (f"{SENSOR}/option/Depth Units/value", 1, units)]
    bag = bag_of(tmp_path, {f"{SENSOR}/Depth_0/image/data": (depth_mm(0), "mono16", "0")}, others=others)
    assert [np.median(frame.cloud.points_m[:, 2]) for frame in bag] == pytest.approx([0.25, 0.25])


def test_no_sentence_lists_more_topics_than_can_be_read(tmp_path):
    many = {f"/topic_{number:02d}/image": (MASK, "rgb8", "camera") for number in range(70)}
    with pytest.raises(InputError) as caught:
        bag_of(tmp_path, many, count=1)
    said = [str(caught.value)]
    for role in ROLES:
        with pytest.raises(InputError) as caught:
            BagFrames(tmp_path / "drive", topics={role: "/nowhere"})
        said.append(str(caught.value))
    depths = {f"/depth_{number:02d}/image": (depth_mm(0), "16UC1", "camera") for number in range(70)}
    bag = bag_of(tmp_path / "depths", depths, {f"/depth_{number:02d}/camera_info": "" for number in range(70)}, count=1)
    for sentence in (*said, *bag.notes):
        assert sentence.count("/image") <= 11, sentence
    assert "and 60 more" in said[0]


def test_packed_depth_of_every_kind_that_drivers_write(tmp_path):
    """PNG with and without the header, by formats that say depth, or grey and nothing on a topic that does."""
    whole = packed(START, depth_mm(0))
    bare = SimpleNamespace(data=whole.data[12:])
    kinds = {
        "/depth/image/compressedDepth": (whole, "16UC1; compressedDepth png"),
        "/image/compressedDepth": (whole, "png"),
        "/plain/image/compressedDepth": (bare, "png"),
        "/old/image/compressedDepth": (whole, "16UC1"),
        "/any/compressed": (bare, "16UC1; png compressed "),
        "/depth/image/compressed": (bare, "mono16; png compressed "),
        "/depth/z/compressed": (bare, "png"),
    }
    for number, (topic, (content, form)) in enumerate(kinds.items()):
        message = packed(START, depth_mm(0))
        message.data, message.format = content.data, form
        path = write_bag(tmp_path / str(number), [("/camera_info", START, info(START)), (topic, START, message)])
        (frame,) = BagFrames(path)
        assert len(frame.cloud) == np.prod(SHAPE) - 1, topic


@pytest.mark.parametrize(
    "form", ["bgr8; jpeg compressed bgr8", "16UC1; jpeg compressed ", "png", "mono16; png compressed "]
)
def test_compressed_images_without_depth_in_their_format_are_not_selected(tmp_path, form):
    message = packed(START, depth_mm(0))
    message.format = form
    path = write_bag(tmp_path / "drive", [("/camera_info", START, info(START)), ("/image/compressed", START, message)])
    with pytest.raises(InputError, match="encoding '"):
        BagFrames(path)


def test_a_given_depth_scale_is_used(tmp_path):
    """Floats in millimetres, and counts of a tenth of one."""
    floats = {"/depth/image": (depth_mm(0).astype(np.float32), "32FC1", "camera")}
    bag = bag_of(tmp_path, floats, {"/depth/camera_info": "camera"}, depth_scale_mm=1.0)
    assert [np.median(frame.cloud.points_m[:, 2]) for frame in bag] == pytest.approx([1.0, 1.0])
    tenths = {"/depth/image": (10 * depth_mm(0), "16UC1", "camera")}
    bag = bag_of(tmp_path / "tenths", tenths, {"/depth/camera_info": "camera"}, depth_scale_mm=0.1)
    assert [np.median(frame.cloud.points_m[:, 2]) for frame in bag] == pytest.approx([1.0, 1.0])
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="depth scale"):
            BagFrames(tmp_path / "drive", depth_scale_mm=scale)


def test_masks_that_are_left_out_do_not_choose_the_depth(tmp_path):
    two_cameras(tmp_path)
    bag = BagFrames(tmp_path / "drive", objects=["box", "can"])
    assert (bag.topics.depth, bag.topics.mask) == ("/camera/depth/image_rect_raw", None)
