"""``pose_node estimate``: objects in one depth image, as a table, as JSON or as a picture."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array
from pose_node.cli.exit_codes import DONE, NOTHING_FOUND
from pose_node.cli.pipeline_options import add_pipeline_options
from pose_node.errors import InputError
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.image_files import read_depth, read_mask, size
from pose_node.messages.camera_file import read_camera
from pose_node.types import Estimate, Result


def add_command(commands: Any) -> None:
    """Add the subcommand to the subparsers of ``pose_node``."""
    estimate = commands.add_parser("estimate", help="find objects in one depth image")
    estimate.add_argument(
        "depth", type=Path, metavar="DEPTH.png", help="16-bit depth image, or a float image in metres"
    )
    estimate.add_argument(
        "--camera",
        type=Path,
        required=True,
        metavar="CAM.json",
        help='camera: {"cam_K": [9 numbers], "depth_scale": s}, {"fx", "fy", "cx", "cy"}, nine numbers as text, or a ROS calibration',
    )
    estimate.add_argument(
        "--object", action="append", required=True, metavar="N", help="object to look for; may be repeated"
    )
    where = estimate.add_mutually_exclusive_group()
    where.add_argument(
        "--mask",
        type=Path,
        action="append",
        metavar="M.png",
        help="mask image, or a cut-out with transparency; once per instance",
    )
    where.add_argument(
        "--box",
        type=float,
        nargs=4,
        action="append",
        metavar=("X", "Y", "W", "H"),
        help="bounding box of the object in pixels; once per instance",
    )
    estimate.add_argument(
        "--depth-scale", type=float, metavar="S", help="millimetres per count (default: the camera file's, else 1)"
    )
    add_pipeline_options(estimate)
    estimate.add_argument("--json", action="store_true", help="print one JSON object per estimate and line")
    estimate.add_argument("--picture", type=Path, metavar="OUT.png", help="write an image of the poses over the depth")
    estimate.set_defaults(run=_estimate, side="")


def _estimate(options: argparse.Namespace) -> int:
    names = list(dict.fromkeys(options.object))
    if (options.mask or options.box) and len(names) > 1:
        raise InputError(f"--mask and --box: found {len(names)} objects, expected one --object.")
    camera = read_camera(options.camera)
    for note in camera.notes:
        print(f"note: {note}", file=sys.stderr)
    scale_mm = camera.depth_scale_mm if options.depth_scale is None else options.depth_scale
    depth_m = read_depth(options.depth, scale_mm, scale_floats=options.depth_scale is not None)
    camera.check_size(depth_m.shape, options.depth)
    masks = {names[0]: [_mask(path, depth_m.shape) for path in options.mask]} if options.mask else None
    boxes = {names[0]: [box_mask(box, depth_m.shape) for box in options.box]} if options.box else None
    cloud = Cloud.from_depth(depth_m, camera.K)

    from pose_node.objects.folders import object_folders
    from pose_node.pipeline import Pipeline

    pipeline = Pipeline.load(object_folders(options.models or "", names), options.config)
    start = time.perf_counter()
    result = pipeline.estimate(cloud, masks=masks, boxes=boxes)
    seconds = time.perf_counter() - start
    regions = [mask for given in (masks, boxes) for mask in (given or {}).get(names[0], ())]
    searched = np.logical_or.reduce(regions) if regions else np.ones(depth_m.shape, bool)
    hints = [] if result.estimates else [_range_line(depth_m[searched & (depth_m > 0)])]
    if options.json:
        for estimate in result.estimates:
            print(json.dumps(estimate_values(estimate)))
        for line in (*rejected_lines(result), *hints):
            print(f"pose_node: {line}", file=sys.stderr)
    else:
        print("\n".join([*estimate_lines(result), *rejected_lines(result), *hints]))
        stages = ", ".join(f"{name} {1000 * s:.0f}" for name, s in result.stage_s.items())
        print(f"{1000 * seconds:.0f} ms on {pipeline.provider} ({stages})")
    if options.picture:
        _draw(options.picture, depth_m, camera.K, pipeline.cards, result)
        print(f"drawn in {options.picture}", file=sys.stderr if options.json else sys.stdout)
    return DONE if result.estimates else NOTHING_FOUND


def _range_line(depths_m: Array) -> str:
    """The median range of the readings that were searched, which shows a wrong unit."""
    if not len(depths_m):
        return "measured: no reading in the mask, box or image"
    return f"measured: a median range of {np.median(depths_m):.3g} m (--depth-scale sets the millimetres per count)"


def _mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = read_mask(path, shape)
    if not mask.any():
        raise InputError(f"{path}: the mask is empty, expected pixels that are not background.", "mask_empty")
    return mask


def box_mask(box: Sequence[float], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels [H, W] whose centres lie in (x, y, width, height); raises InputError for a box outside the image."""
    x, y, width, height = box
    if not np.isfinite(box).all() or width <= 0 or height <= 0:
        raise InputError(f"--box: found {width:g} x {height:g} pixels, expected a width and a height above 0.")
    if x >= shape[1] or y >= shape[0] or x + width <= 0 or y + height <= 0:
        raise InputError(
            f"--box: found {x:g} {y:g} {width:g} {height:g}, expected a box inside the image of {size(shape)} pixels."
        )
    v, u = np.indices(shape)
    return (u >= x) & (u < x + width) & (v >= y) & (v < y + height)


def estimate_values(estimate: Estimate) -> dict[str, Any]:
    """An estimate as JSON values: one line of ``--json``."""
    T, evidence = estimate.T_camera_object, estimate.evidence
    return {
        "object": estimate.object_name,
        "score": float(estimate.score),
        "T_camera_object": T.tolist(),
        "translation_m": T[:3, 3].tolist(),
        "quaternion_xyzw": Rotation.from_matrix(T[:3, :3]).as_quat().tolist(),
        "covariance": estimate.covariance.tolist(),
        "alternatives": [{"T_camera_object": M.tolist(), "weight": float(w)} for M, w in estimate.alternatives],
        "evidence": {name: float(getattr(evidence, name)) for name in evidence.__dataclass_fields__},
        "segment": estimate.segment.source,
    }


def estimate_lines(result: Result) -> list[str]:
    """The estimates as a table, highest score first."""
    if not result.estimates:
        return ["nothing found"]
    width = max(6, *(len(e.object_name) for e in result.estimates))
    lines = [
        f"{'object':<{width}}  score  {'x':>8} {'y':>8} {'z':>8} mm   {'qx':>7} {'qy':>7} {'qz':>7} {'qw':>7}   "
        "sigma mm, deg   surface seen, rms"
    ]
    for e in result.estimates:
        T = e.T_camera_object
        position = " ".join(f"{1000 * v:8.1f}" for v in T[:3, 3])
        quaternion = " ".join(f"{v:7.4f}" for v in Rotation.from_matrix(T[:3, :3]).as_quat())
        # of the most uncertain direction: a mug with its handle hidden is well determined in all but one
        worst = [np.sqrt(max(np.linalg.eigvalsh(e.covariance[s, s])[-1], 0.0)) for s in (slice(3), slice(3, 6))]
        lines.append(
            f"{e.object_name:<{width}}  {e.score:5.2f}  {position}      {quaternion}   "
            f"{1000 * worst[0]:5.1f}, {np.degrees(worst[1]):5.1f}    {100 * e.evidence.explained:4.0f} %, {1000 * e.evidence.rms_m:.1f} mm"
        )
        if e.alternatives:
            weights = ", ".join(f"{weight:.2f}" for _, weight in e.alternatives)
            lines.append(
                f"{'':<{width}}  and {len(e.alternatives)} other orientation(s) at this place, of weight {weights}"
            )
    lines.append("camera frame: x right, y down, z forward; --json gives matrices and covariances")
    return lines


def rejected_lines(result: Result, most: int = 10) -> list[str]:
    """One line per reason of refusal, the most frequent first, at most ``most`` of them."""
    counts = Counter(
        r.reason if r.object_name is None or r.reason.startswith(r.object_name) else f"{r.object_name}: {r.reason}"
        for r in result.rejected
    )
    lines = [f"rejected: {reason}{f' ({n} times)' if n > 1 else ''}" for reason, n in counts.most_common()]
    more = len(lines) - most
    return [*lines[:most], f"rejected: and {more} more"] if more > 0 else lines


def _draw(path: Path, depth_m: Array, K: Array, cards: Mapping[str, Any], result: Result) -> None:
    from pose_node.drawing import Instance, draw

    instances = []
    for e in result.estimates:
        surface = cards[e.object_name].surface
        label = f"{e.object_name} {e.score:.2f}"
        instances.append(Instance(label, e.T_camera_object, surface.points_m, surface.normals))
    try:
        draw(depth_m, K, instances).save(path)
    except (OSError, ValueError) as error:
        raise InputError(f"--picture: {path} cannot be written ({error}).") from error
