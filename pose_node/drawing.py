"""Draws poses over a depth image. Pillow is imported inside the functions, so that only those who draw need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.geometry import se3

if TYPE_CHECKING:
    from PIL.Image import Image

_COLOURS = (
    (230, 85, 40),
    (60, 170, 90),
    (50, 120, 220),
    (200, 80, 190),
    (225, 175, 30),
    (40, 180, 190),
    (150, 110, 240),
)
_AXES = ((230, 40, 40), (40, 190, 60), (60, 110, 255))  # x, y, z
_OCCLUDED_M = 0.015  # a model further than this behind the measurement is drawn faintly, as occluded


@dataclass(frozen=True, eq=False)
class Instance:
    """One object to draw: label, T_camera_object [4, 4], surface samples [S, 3] metres and outward normals [S, 3].

    axes: whether to draw the object frame's axes at the centre of its bounding box: x red, y green, z blue.
    """

    label: str
    T_camera_object: Array
    points_m: Array
    normals: Array
    axes: bool = False


def draw(depth_m: NDArray[Any], K: Array, instances: Sequence[Instance], title: str = "") -> Image:
    """A PIL image of a depth image [H, W] in metres with intrinsics K [3, 3]: shaded grey, each instance in a colour, labelled."""
    from PIL import Image, ImageDraw

    canvas = _shaded(np.asarray(depth_m, dtype=np.float64))
    nearest = np.full(canvas.shape[:2], np.inf)
    outlines = np.zeros(canvas.shape[:2], dtype=bool)
    places = []
    for number, instance in enumerate(instances):
        colour = np.array(_COLOURS[number % len(_COLOURS)], dtype=np.float64)
        z, shade = _splat(instance, K, nearest.shape)
        inside = np.isfinite(z)
        places.append(_anchor(inside))
        front = inside & (z < nearest)
        nearest[front] = z[front]
        with np.errstate(invalid="ignore"):
            hidden = depth_m < z - _OCCLUDED_M
        alpha = np.where(hidden, 0.25, 0.65)[front, None]
        canvas[front] = (1 - alpha) * canvas[front] + alpha * colour * shade[front, None]
        edge = _edge(inside)
        outlines |= edge
        canvas[edge] = colour
    image = Image.fromarray(canvas.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    font = _font(max(12, canvas.shape[0] // 34))
    for instance in instances:
        if instance.axes:
            _draw_axes(pen, font, instance, K)
    top = 6 + _text_box(pen, font, title)[3] + 4 if title else 0
    for number, (instance, place) in enumerate(zip(instances, places)):
        if place is not None:
            _label(pen, font, place, instance.label, _COLOURS[number % len(_COLOURS)], image.size, top)
    if title:
        pen.text((8, 6), title, fill=(255, 255, 255), font=font, stroke_width=2, stroke_fill=(0, 0, 0))
    return image


def side_by_side(images: Sequence[Image]) -> Image:
    """Images in one row, top-aligned."""
    from PIL import Image

    row = Image.new("RGB", (sum(i.width for i in images) + 4 * (len(images) - 1), max(i.height for i in images)))
    x = 0
    for image in images:
        row.paste(image, (x, 0))
        x += image.width + 4
    return row


def _shaded(depth_m: Array) -> Array:
    """A depth image [H, W] as grey picture [H, W, 3]: nearer is brighter, slopes are shaded, no reading is dark blue."""
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(depth_m) & (depth_m > 0)
    canvas = np.empty((*depth_m.shape, 3))
    canvas[:] = (18, 20, 34)
    if seen.any():
        near, far = np.percentile(depth_m[seen], (1, 97))
        filled = np.where(seen, depth_m, far)
        tone = 1.0 - ((filled - near) / max(far - near, 1e-6)).clip(0, 1)
        # Slopes over three pixels, in pixel sizes, shaded as under light from the upper left.
        slope_y, slope_x = np.zeros_like(filled), np.zeros_like(filled)
        slope_y[1:-1], slope_x[:, 1:-1] = filled[2:] - filled[:-2], filled[:, 2:] - filled[:, :-2]
        light = np.tanh(-300.0 * (slope_x + slope_y) / np.maximum(filled, 1e-6) / 2.0)
        grey = (55 + 130 * tone) * (1 + 0.25 * light)
        canvas[seen] = grey[seen, None]
    return canvas


def _splat(instance: Instance, K: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The model's depth [H, W] (inf outside) and shade [H, W] in 0..1: its samples as squares just large enough to leave no gaps."""
    points = se3.apply(instance.T_camera_object, instance.points_m)
    normals = instance.normals @ instance.T_camera_object[:3, :3].T
    facing = -np.einsum("ij,ij->i", points, normals) / np.maximum(np.linalg.norm(points, axis=1), 1e-9)
    seen = (points[:, 2] > 1e-3) & (facing > 0)
    points, facing = points[seen], facing[seen]
    depth, shade = np.full(shape[0] * shape[1], np.inf), np.zeros(shape[0] * shape[1])
    if len(points):
        extent = np.linalg.norm(np.ptp(instance.points_m, axis=0))
        spacing = extent * np.sqrt(np.pi / len(instance.points_m))
        radius = int(np.ceil(0.5 * spacing * K[0, 0] / np.median(points[:, 2])))
        u = np.rint(K[0, 0] * points[:, 0] / points[:, 2] + K[0, 2]).astype(np.intp)
        v = np.rint(K[1, 1] * points[:, 1] / points[:, 2] + K[1, 2]).astype(np.intp)
        order = np.argsort(-points[:, 2], kind="stable")  # far to near: the last write to a pixel stays
        dv, du = (g.ravel() for g in np.mgrid[-radius : radius + 1, -radius : radius + 1])
        us, vs = (u[order, None] + du).ravel(), (v[order, None] + dv).ravel()
        zs, shades = np.repeat(points[order, 2], len(du)), np.repeat(facing[order], len(du))
        inside = (us >= 0) & (us < shape[1]) & (vs >= 0) & (vs < shape[0])
        pixel = vs[inside] * shape[1] + us[inside]
        depth[pixel], shade[pixel] = zs[inside], 0.45 + 0.75 * shades[inside]
    return depth.reshape(shape), shade.reshape(shape)


def _draw_axes(pen: Any, font: Any, instance: Instance, K: Array) -> None:
    """The three axes with their letters from the centre of the bounding box, half its diagonal long, the farthest first."""
    low, high = instance.points_m.min(axis=0), instance.points_m.max(axis=0)
    reach = 0.5 * float(np.linalg.norm(high - low))
    ends = se3.apply(instance.T_camera_object, (low + high) / 2 + np.vstack([np.zeros(3), reach * np.eye(3)]))
    if (ends[:, 2] <= 1e-3).any():
        return
    origin, *tips = (tuple(map(float, pixel)) for pixel in ends[:, :2] / ends[:, 2:] @ K[:2, :2].T + K[:2, 2])
    for axis in np.argsort(-ends[1:, 2], kind="stable"):
        for colour, width in (((255, 255, 255), 5), (_AXES[axis], 3)):
            pen.line((*origin, *tips[axis]), fill=colour, width=width)
        pen.text(
            tips[axis],
            "xyz"[axis],
            fill=_AXES[axis],
            font=font,
            anchor="mm",
            stroke_width=2,
            stroke_fill=(255, 255, 255),
        )


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels [H, W] of a silhouette that are next to its outside."""
    interior = np.zeros_like(inside)
    interior[1:-1, 1:-1] = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return inside & ~interior


def _anchor(inside: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Where to label a silhouette: (mean x, top y); None when it is empty."""
    rows, columns = np.nonzero(inside)
    return (int(columns.mean()), int(rows.min())) if len(rows) else None


def _label(
    pen: Any, font: Any, place: tuple[int, int], text: str, colour: tuple[int, ...], size: Sequence[int], top: float
) -> None:
    """Draw a text on a box of ``colour`` above ``place`` (x, y), inside the picture and below its title, which ends at ``top``."""
    left, _, right, bottom = _text_box(pen, font, text)
    width, height = right - left + 8, bottom + 6
    x = min(max(place[0] - width // 2, 0), max(size[0] - width, 0))
    y = min(max(place[1] - height - 4, top), max(size[1] - height, 0))
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + 4, y + 2), text, fill=(255, 255, 255), font=font)


def _text_box(pen: Any, font: Any, text: str) -> tuple[int, ...]:
    """Left, top, right and bottom of a text drawn at the origin, in pixels."""
    try:
        return pen.textbbox((0, 0), text, font=font)
    except ValueError:  # Pillow before 9.2 does not measure its default font
        return (0, 0, *font.getmask(text).size)


def _font(size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size=size)
    except TypeError:  # Pillow before 10.1 has one size only
        return ImageFont.load_default()
