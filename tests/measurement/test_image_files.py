"""Image files of many programs: which counts are readings, and which pixels of a mask are the object."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.errors import InputError
from pose_node.measurement.image_files import read_depth, read_mask

Image = pytest.importorskip("PIL.Image")

SHAPE = (40, 60)
WANTED = np.zeros(SHAPE, bool)
WANTED[10:30, 15:45] = True
GREY = (255 * WANTED).astype(np.uint8)
PHOTO = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def palette(colours, indices=WANTED):
    image = Image.fromarray(indices.astype(np.uint8)).convert("P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def with_alpha(colours, alpha):
    return Image.fromarray(np.dstack([colours, np.broadcast_to(alpha, SHAPE)]).astype(np.uint8))


def grey_alpha(grey, alpha):
    return Image.merge("LA", [Image.fromarray(np.broadcast_to(one, SHAPE).astype(np.uint8)) for one in (grey, alpha)])


def colour(on, off=(0, 0, 0)):
    return np.where(WANTED[..., None], np.array(on), np.array(off)).astype(np.uint8)


SOFT = np.where(WANTED, 255, 0)
SOFT[9, 15:45], SOFT[10, 15:45] = 60, 190  # the soft edge of a matte
CANVAS = np.zeros(SHAPE, np.uint8)
CANVAS[5:35, 5:55] = 255  # where a layer smaller than its image is opaque

MASKS = {
    "grey": Image.fromarray(GREY),
    "grey of labels": Image.fromarray((3 * WANTED).astype(np.uint8)),
    "bits": Image.fromarray(WANTED),
    "16 bits": Image.fromarray(WANTED.astype(np.uint16) * 700),
    "colour": Image.fromarray(colour((0, 128, 0))),
    "grey, opaque": grey_alpha(GREY, 255),
    "grey, transparent throughout": grey_alpha(GREY, 0),
    "colour, opaque": with_alpha(colour((255, 255, 255)), 255),
    "colour, half opaque throughout": with_alpha(colour((200, 0, 0)), 127),
    "cut-out of white": with_alpha(np.full((*SHAPE, 3), 255), GREY),
    "cut-out of a photo": with_alpha(PHOTO, GREY),
    "cut-out with a soft edge": with_alpha(PHOTO, SOFT),
    "half transparent overlay": with_alpha(colour((255, 0, 0)), np.where(WANTED, 127, 0)),
    "object over a veil": with_alpha(PHOTO, np.where(WANTED, 255, 100)),
    "silhouette in black": with_alpha(np.zeros((*SHAPE, 3)), GREY),
    "grey cut-out": grey_alpha(PHOTO[..., 0], GREY),
    "mask on a smaller layer": with_alpha(colour((255, 255, 255)), CANVAS),
    "palette": palette([(0, 0, 0), (128, 0, 0)]),
    "palette on blue": palette([(30, 30, 90), (220, 60, 60)]),
    "palette, black on white": palette([(255, 255, 255), (0, 0, 0)]),
    "palette of a quantised mask": Image.fromarray(GREY).convert("RGB").quantize(2),
}


@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_may_be_of_any_kind(tmp_path, kind):
    MASKS[kind].save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", SHAPE), WANTED)


@pytest.mark.parametrize("kind", ["grey", "cut-out of white", "palette on blue"])
@pytest.mark.parametrize("end", ["gif", "tif"])
def test_other_formats_than_png(tmp_path, kind, end):
    path = tmp_path / f"mask.{end}"
    MASKS[kind].save(path)
    np.testing.assert_array_equal(read_mask(path, SHAPE), WANTED)


def test_wide_and_real_numbers(tmp_path):
    path = tmp_path / "mask.tif"
    Image.fromarray(np.where(WANTED, 70_000, 0).astype(np.int32)).save(path)
    np.testing.assert_array_equal(read_mask(path, SHAPE), WANTED)
    Image.fromarray(np.where(WANTED, 0.5, np.nan).astype(np.float32)).save(path)
    np.testing.assert_array_equal(read_mask(path, SHAPE), WANTED)


def test_transparent_by_a_declared_colour(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(np.where(WANTED, 90, 255).astype(np.uint8)).save(path, transparency=255)
    np.testing.assert_array_equal(read_mask(path, SHAPE), WANTED)


@pytest.mark.parametrize("image", [MASKS["grey"], Image.fromarray(colour((255, 0, 0)))])
def test_jpeg_artefacts_next_to_an_edge_are_background(tmp_path, image):
    path = tmp_path / "mask.jpg"
    image.save(path, quality=60)
    found = read_mask(path, SHAPE)
    assert np.count_nonzero(np.asarray(Image.open(path))) > 1.1 * WANTED.sum()
    inner = np.zeros(SHAPE, bool)
    inner[11:29, 16:44] = True
    outer = np.zeros(SHAPE, bool)
    outer[9:31, 14:46] = True
    assert found[inner].all() and not found[~outer].any()


WHOLE = {
    "white": Image.fromarray(np.full(SHAPE, 255, np.uint8)),
    "red on white": Image.fromarray(colour((255, 0, 0), (255, 255, 255))),
    "opaque photo": with_alpha(np.maximum(PHOTO, 1), 255),
    "palette without its background": palette([(0, 0, 0), (9, 9, 9)], np.ones(SHAPE)),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_mask_without_background_is_refused(tmp_path, kind):
    WHOLE[kind].save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png: found a mask that covers all 60 x 40 pixels") as caught:
        read_mask(tmp_path / "mask.png", SHAPE)
    assert caught.value.code == "mask_covers_all"


@pytest.mark.parametrize("image", [Image.fromarray(0 * GREY), with_alpha(np.zeros((*SHAPE, 3)), 255)])
def test_constant_alpha_is_ignored(tmp_path, image):
    image.save(tmp_path / "mask.png")
    assert not read_mask(tmp_path / "mask.png", SHAPE).any()


def test_a_mask_of_another_size_is_refused(tmp_path):
    MASKS["grey"].save(tmp_path / "mask.png")
    with pytest.raises(InputError, match="found a mask of 60 x 40 pixels, expected the depth image's 30 x 20"):
        read_mask(tmp_path / "mask.png", (20, 30))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])  # Pillow before 11 gives 16 bits as int32
def test_the_largest_count_is_no_reading(tmp_path, dtype):
    counts = np.array([[0, 1, 8000], [65534, 65535, 65535]], dtype)
    path = tmp_path / ("depth.png" if dtype == np.uint16 else "depth.tif")
    Image.fromarray(counts).save(path)
    np.testing.assert_allclose(read_depth(path, 0.5), [[0.0, 0.0005, 4.0], [32.767, 0.0, 0.0]])


def test_the_largest_32_bit_count_is_no_reading(tmp_path):
    counts = np.array([[65535, 70_000, np.iinfo(np.int32).max]], np.int32)
    Image.fromarray(counts).save(tmp_path / "depth.tif")
    np.testing.assert_allclose(read_depth(tmp_path / "depth.tif", 0.01), [[0.65535, 0.7, 0.0]])


def test_floats_are_metres_by_default(tmp_path):
    Image.fromarray(np.array([[0.7, np.nan]], np.float32)).save(tmp_path / "depth.tif")
    np.testing.assert_allclose(read_depth(tmp_path / "depth.tif", 1.0), [[0.7, np.nan]], rtol=1e-6)
    np.testing.assert_allclose(read_depth(tmp_path / "depth.tif", 100.0, True), [[0.07, np.nan]], rtol=1e-6)
