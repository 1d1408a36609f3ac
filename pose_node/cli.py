"""The command ``pose_node``: one subcommand for each thing that is done without writing code.

Exit codes: 0 done; 2 bad usage or input, one sentence on stderr; 3 ran, and found nothing. What a subcommand needs
beyond numpy is imported inside it, so that the robot side runs without the learning side and the other way round.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pose_node import __version__
from pose_node.arrays import Array
from pose_node.errors import InputError, PoseNodeError
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.image_files import read_depth, read_mask, size
from pose_node.messages.camera_file import read_camera
from pose_node.types import Estimate, Result

DONE, BAD_INPUT, NOTHING_FOUND, INTERRUPTED, READER_LEFT = 0, 2, 3, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code; a reader of the output that leaves early (``| head``) ends it silently."""
    try:
        try:
            return _run(argv)
        finally:  # --help leaves by an exception of its own
            sys.stdout.flush()
    except BrokenPipeError:
        # what is still in the buffer would raise again when Python closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    # ros2 run and ros2 launch start lib/pose_node/pose_node without a subcommand; in a shell, that asks for help.
    by_ros = argv is None and not arguments and Path(sys.argv[0]).parent.name == "pose_node"
    if by_ros or ("--ros-args" in arguments and arguments[0] != "node"):
        arguments.insert(0, "node")
    if arguments[:1] == ["node"]:
        return _node(arguments[1:])
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except PoseNodeError as error:
        print(f"pose_node: {error}", file=sys.stderr)
        return BAD_INPUT
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pose_node"):
            raise
        extra = f"pip install 'pose_node[{options.side}]'" if options.side else "pip install pose_node"
        print(
            f"pose_node: {options.command} needs the package {error.name!r}, which is not here: {extra}.",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        print("pose_node: stopped.", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The command line, as ``pose_node --help`` shows it."""
    top = argparse.ArgumentParser(prog="pose_node", description="Depth-only 6D object pose: from a mesh to poses.")
    top.add_argument("--version", action="version", version=f"pose_node {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    one = commands.add_parser("estimate", help="find objects in one depth image")
    one.add_argument("depth", type=Path, metavar="DEPTH.png", help="16-bit depth image, or a float image in metres")
    one.add_argument(
        "--camera",
        type=Path,
        required=True,
        metavar="CAM.json",
        help='{"cam_K": [9 numbers], "depth_scale": s}, fx, fy, cx, cy, nine numbers as text, or a ROS calibration',
    )
    one.add_argument(
        "--object", action="append", required=True, metavar="N", help="object to look for; may be repeated"
    )
    where = one.add_mutually_exclusive_group()
    where.add_argument(
        "--mask", type=Path, action="append", metavar="M.png", help="its pixels, or a cut-out of it; once per instance"
    )
    where.add_argument(
        "--box", type=float, nargs=4, action="append", metavar=("X", "Y", "W", "H"), help="a box around it, pixels"
    )
    one.add_argument(
        "--depth-scale", type=float, metavar="S", help="millimetres per count (default: the camera file's, else 1)"
    )
    one.add_argument(
        "--models", type=Path, metavar="DIR", help="object folders (default: ./models, else the installed)"
    )
    one.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML")
    one.add_argument("--json", action="store_true", help="one JSON object per estimate and line")
    one.add_argument("--picture", type=Path, metavar="OUT.png", help="draw the poses over the depth")
    one.set_defaults(run=_estimate, side="")

    new = commands.add_parser("add-object", help="make an object folder from a mesh")
    new.add_argument("mesh", type=Path, metavar="MESH", help="PLY, OBJ, STL, OFF, GLB, GLTF or 3MF")
    new.add_argument("--name", required=True, metavar="N", help="lower-case words joined by '_'")
    new.add_argument(
        "--units", choices=("m", "mm", "cm", "in"), help="what the mesh's numbers mean (default: what the file states)"
    )
    new.add_argument("--bop-id", type=int, metavar="K", help="the object's number in a BOP data set")
    new.add_argument(
        "--symmetry",
        default="auto",
        metavar="auto|none|FILE",
        help="search it, declare none, or a YAML file (default: auto)",
    )
    new.add_argument(
        "--models", type=Path, default=Path("models"), metavar="DIR", help="where to put the folder (default: ./models)"
    )
    new.add_argument("--force", action="store_true", help="replace an existing object")
    new.set_defaults(run=_add_object, side="learn")

    train = commands.add_parser("train", help="train an object's network on rendered views; resumes where it stopped")
    train.add_argument("folder", type=Path, metavar="models/N")
    train.add_argument("--views", type=int, metavar="V", help="rendered views to learn from")
    train.add_argument("--seed", type=int, metavar="SEED")
    train.add_argument("--workers", type=int, metavar="P", help="processes that render")
    train.add_argument("--restart", action="store_true", help="forget an earlier run")
    train.set_defaults(run=_train, side="learn")

    export = commands.add_parser("export", help="write pose.onnx, checked against the trained network")
    export.add_argument("folder", type=Path, metavar="models/N")
    export.set_defaults(run=_export, side="learn")

    check = commands.add_parser("evaluate", help="run over a recording or a labelled set, and report")
    check.add_argument("sources", type=Path, nargs="*", metavar="BAG|DIR", help="bags, or folders in BOP's layout")
    check.add_argument(
        "--out",
        type=Path,
        metavar="RUN",
        help="folder for the results (default: the source's name + _run); of several sources, for a folder of each "
        "and a page of all (default: ./runs)",
    )
    check.add_argument(
        "--track", action="store_true", help="of a bag: follow objects from frame to frame, as the node does"
    )
    check.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes that work on the frames (default: 1; with --ray, one for each CPU); results are the same for any number",
    )
    check.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="work on a Ray cluster (local: one of this machine alone); frames and objects are sent to it, so that no other "
        "machine has to read the files",
    )
    check.add_argument(
        "--crops", choices=("mask", "box", "none"), default="mask", help="what of a label is told (default: mask)"
    )
    check.add_argument(
        "--incomplete-labels",
        action="store_true",
        help="the source holds instances without a label: an estimate without one is then no false alarm",
    )
    check.add_argument(
        "--symmetries",
        choices=("declared", "depth"),
        default="declared",
        help="what counts as equal: what the set declares, or also what depth cannot tell (default: declared)",
    )
    _say_of_bag(check)
    check.add_argument("--realtime", action="store_true", help="drop frames of a bag as the node would, too")
    check.add_argument("--compare", type=Path, nargs=2, metavar=("RUN_A", "RUN_B"), help="put two runs side by side")
    check.set_defaults(run=_evaluate, side="eval")

    look = commands.add_parser("view", help="look at a recording, or a running node, in the Rerun viewer")
    look.add_argument("bag", type=Path, nargs="?", metavar="BAG", help="a recording, whose objects are tracked")
    look.add_argument("--live", action="store_true", help="listen to a running node instead, until Ctrl-C")
    look.add_argument(
        "--node",
        default="/pose_node",
        metavar="NAME",
        help="of the running node, with its namespace (default: /pose_node)",
    )
    look.add_argument(
        "--save", type=Path, metavar="FILE.rrd", help="write a file for the viewer instead of starting it"
    )
    _say_of_bag(look)
    look.set_defaults(run=_view, side="view")

    commands.add_parser("node", help="run the ROS 2 node (takes --ros-args)")
    return top


def _say_of_bag(command: argparse.ArgumentParser) -> None:
    """The options that tell what a recording holds, and what to look for in it."""
    command.add_argument(
        "--objects", nargs="+", default=[], metavar="N", help="objects to look for (default: all there)"
    )
    command.add_argument(
        "--models", type=Path, metavar="DIR", help="object folders (default: ./models, else the installed)"
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML")
    command.add_argument(
        "--topics",
        nargs="+",
        default=[],
        metavar="ROLE=TOPIC",
        help="of a bag, where types leave a choice: depth, info, points, mask",
    )
    command.add_argument(
        "--labels", nargs="+", default=[], metavar="VALUE=N", help="the objects of a bag's mask values"
    )
    command.add_argument(
        "--depth-scale",
        type=float,
        metavar="S",
        help="of a bag's depth: millimetres a count of 16UC1, or 1.0 of 32FC1, stands for (default: 1, and metres)",
    )
    command.add_argument(
        "--fixed-frame", metavar="FRAME", help="of a bag's camera poses (default: the root of its tree)"
    )
    command.add_argument(
        "--viewpoint-frame",
        metavar="FRAME",
        help="in whose origin the sensor of a bag's point clouds stood, where they were moved to another (default: their own)",
    )


def _node(arguments: Sequence[str]) -> int:
    try:
        from pose_node.ros.node import main as node_main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pose_node"):
            raise
        print(
            f"pose_node: node needs ROS 2 ({error.name!r} is not here): source its setup file, or install pose_node[ros].",
            file=sys.stderr,
        )
        return BAD_INPUT
    code: int = node_main(arguments)
    return code


def _estimate(options: argparse.Namespace) -> int:
    names = list(dict.fromkeys(options.object))
    if (options.mask or options.box) and len(names) > 1:
        raise InputError(f"--mask and --box: found {len(names)} objects, expected one --object that they belong to.")
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
    marked = [mask for given in (masks, boxes) for mask in (given or {}).get(names[0], ())]
    looked_at = np.logical_or.reduce(marked) if marked else np.ones(depth_m.shape, bool)
    hints = [] if result.estimates else [_range_line(depth_m[looked_at & (depth_m > 0)])]
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
    """How far off what was looked at is: a wrong unit shows there."""
    if not len(depths_m):
        return "measured: no reading in what was looked at"
    return (
        f"measured: a median range of {np.median(depths_m):.3g} m (--depth-scale says how many millimetres a count is)"
    )


def _mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = read_mask(path, shape)
    if not mask.any():
        raise InputError(
            f"{path}: the mask is empty, expected pixels that are not background on the object.", "mask_empty"
        )
    return mask


def box_mask(box: Sequence[float], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels whose centres lie in (x, y, width, height), which must touch the image; raises InputError."""
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
    """An estimate as plain values, one line of ``--json``."""
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
    """The estimates as a table, best first."""
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
        # the widest direction is the one to know of: a mug whose handle is hidden is narrow in all but one
        worst = [np.sqrt(max(np.linalg.eigvalsh(e.covariance[s, s])[-1], 0.0)) for s in (slice(3), slice(3, 6))]
        lines.append(
            f"{e.object_name:<{width}}  {e.score:5.2f}  {position}      {quaternion}   "
            f"{1000 * worst[0]:5.1f}, {np.degrees(worst[1]):5.1f}    {100 * e.evidence.explained:4.0f} %, {1000 * e.evidence.rms_m:.1f} mm"
        )
        if e.alternatives:
            weights = ", ".join(f"{weight:.2f}" for _, weight in e.alternatives)
            lines.append(f"{'':<{width}}  and {len(e.alternatives)} other orientation(s) here, of weight {weights}")
    lines.append("camera frame: x right, y down, z forward; --json gives matrices and covariances")
    return lines


def rejected_lines(result: Result, most: int = 10) -> list[str]:
    """Why the rest was refused, one line for each reason."""
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


def _add_object(options: argparse.Namespace) -> int:
    from pose_node.learning.onboard import PICTURE_FILE, add_object
    from pose_node.learning.similarity_text import confusion_texts, symmetry_texts

    done = add_object(
        options.mesh, options.name, options.models, options.units, options.bop_id, options.symmetry, options.force
    )
    card, similarity = done.card, done.similarity
    for note in done.notes:
        print(f"note: {note}")
    print(f"{card.folder}: diameter {1000 * card.diameter_m:.1f} mm")
    print(f"  symmetry: {'; '.join(symmetry_texts(similarity)) or 'none'}")
    print(f"  may be confused with: {'; '.join(confusion_texts(similarity)) or 'nothing found'}")
    print(f"  look at {card.folder / PICTURE_FILE}, then: pose_node train {card.folder}")
    return DONE


def _train(options: argparse.Namespace) -> int:
    from pose_node.learning.train import Recipe, train

    given = {name: getattr(options, name) for name in ("views", "seed") if getattr(options, name) is not None}
    workers = {} if options.workers is None else {"workers": options.workers}
    train(options.folder, Recipe(**given), resume=not options.restart, **workers)
    print(f"trained; next: pose_node export {options.folder}")
    return DONE


def _export(options: argparse.Namespace) -> int:
    from pose_node.learning.export import export

    print(f"written: {export(options.folder)}")
    return DONE


def _evaluate(options: argparse.Namespace) -> int:
    if bool(options.sources) == bool(options.compare):
        raise InputError("evaluate: found neither or both of a source and --compare, expected one of them.")
    from pose_node.evaluation.command import evaluate

    return evaluate(options)


def _view(options: argparse.Namespace) -> int:
    from pose_node.viewing.command import view

    return view(options)
