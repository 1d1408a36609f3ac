"""A Rerun recording: measured points, each object's model at its pose with its covariance, and over time its score, its stated
uncertainty and messages about it.

Rerun (https://rerun.io) is an open viewer of data over time. ``layout`` arranges the entities.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr
import rerun.blueprint as rrb
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.measurement.cloud import Cloud
from pose_node.objects.card import load_card
from pose_node.objects.mesh_file import read_ply, vertex_normals
from pose_node.types import Track

_FIXED, _CAMERA, _LOG = "fixed", "fixed/camera", "log"
_CURVES = ("score", "sigma_mm", "sigma_deg")
_MAX_POINTS = 60_000  # per cloud, as a recording has hundreds of clouds
_AXES = np.array([[230, 60, 60], [60, 190, 80], [70, 110, 240]], np.uint8)  # x, y, z
_STATES = {"confirmed": (70, 200, 110), "tentative": (235, 180, 50)}
_UNSEEN = (130, 130, 130)
_WITHIN = float(np.sqrt(chi2.ppf(0.95, 3)))  # standard deviations of a 95 % ellipsoid


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An object to draw: a track, or an estimate without tracking.

    name: of its entity, constant over frames. T_fixed_object [4, 4]; covariance [6, 6] about the fixed frame's axes.
    seen: whether it was observed in this frame. status: its state and the reason or note, one line.
    """

    name: str
    object_name: str
    T_fixed_object: Array
    covariance: Array
    score: float
    state: str = "confirmed"
    seen: bool = True
    status: str = ""

    @classmethod
    def of(cls, track: Track) -> Shown:
        """A track after a frame."""
        status = ": ".join(word for word in (track.state, track.note or track.reason) if word)
        pose, seen = (track.T_fixed_object, track.covariance), track.estimate is not None
        return cls(track.name, track.object_name, *pose, track.score, track.state, seen, status)


class Canvas:
    """Draws clouds and objects into a Rerun recording.

    meshes: object name -> (vertices [V, 3] in metres, triangles [F, 3]), called when an object is first drawn.
    fixed_is_camera: the fixed frame is the camera's optical frame, whose y axis points down.
    """

    def __init__(
        self, meshes: Callable[[str], tuple[Array, Any]], fixed_is_camera: bool, recording: rr.RecordingStream
    ) -> None:
        self._meshes = meshes
        self._mesh_of: dict[str, tuple[Array, Any]] = {}
        self._drawn: dict[str, tuple[int, int, int]] = {}  # by name: the colour
        self._status: dict[str, str] = {}
        self._recording = recording
        self._up = np.array([0.0, -1.0, 0.0] if fixed_is_camera else [0.0, 0.0, 1.0])
        axes = rr.ViewCoordinates.RDF if fixed_is_camera else rr.ViewCoordinates.RIGHT_HAND_Z_UP
        self._recording.log(_FIXED, axes, static=True)
        self._recording.log(f"{_CAMERA}/axes", _axes(0.1), static=True)

    def cloud(self, cloud: Cloud, T_fixed_camera: Array) -> None:
        """Draw the measured points, near ones brighter, and the camera's pose."""
        self._at(cloud.stamp_ns)
        self._recording.log(_CAMERA, _transform(T_fixed_camera))
        if not len(cloud):
            self._recording.log(f"{_CAMERA}/cloud", rr.Clear(recursive=False))
            return
        # A random subset, as every k-th pixel of an image would show stripes; with a constant seed.
        points = cloud.points_m
        if len(points) > _MAX_POINTS:
            points = points[np.random.default_rng(0).choice(len(points), _MAX_POINTS, replace=False)]
        range_m = np.linalg.norm(points - cloud.viewpoint_m, axis=1)
        near, far = np.percentile(range_m, [2, 98])
        grey = 60 + 160 * np.clip((far - range_m) / max(far - near, 1e-6), 0.0, 1.0)
        colours = np.stack([0.85 * grey, 0.92 * grey, grey], axis=1).astype(np.uint8)
        self._recording.log(f"{_CAMERA}/cloud", rr.Points3D(points.astype(np.float32), colors=colours, radii=0.0008))

    def objects(self, stamp_ns: int, objects: Sequence[Shown]) -> None:
        """Draw all objects of a stamp; those that are no longer among them disappear."""
        self._at(stamp_ns)
        for name in set(self._drawn) - {shown.name for shown in objects}:
            self._recording.log(_object(name), rr.Clear(recursive=True))
            del self._drawn[name]
        for shown in objects:
            self._object(shown)
            if shown.status != self._status.get(shown.name, ""):
                self._status[shown.name] = shown.status
                self.log(stamp_ns, f"{shown.name}: {shown.status}", "WARN" if shown.state == "lost" else "INFO")

    def log(self, stamp_ns: int, message: str, level: str = "INFO") -> None:
        """Log a message."""
        self._at(stamp_ns)
        self._recording.log(_LOG, rr.TextLog(message, level=level))

    def _object(self, shown: Shown) -> None:
        entity = _object(shown.name)
        if shown.object_name not in self._mesh_of:
            self._mesh_of[shown.object_name] = self._meshes(shown.object_name)
        vertices, triangles = self._mesh_of[shown.object_name]
        size_m = float(np.ptp(vertices, axis=0).max())
        colour = _STATES.get(shown.state, _UNSEEN) if shown.seen else _UNSEEN
        if self._drawn.get(shown.name) != colour:  # a mesh is large: it is sent only when its colour changes
            normals = vertex_normals(vertices, triangles)
            mesh = rr.Mesh3D(
                vertex_positions=vertices, triangle_indices=triangles, vertex_normals=normals, albedo_factor=colour
            )
            self._recording.log(f"{entity}/mesh", mesh)
            self._recording.log(f"{entity}/axes", _axes(0.6 * size_m))
            self._drawn[shown.name] = colour
        self._recording.log(entity, _transform(shown.T_fixed_object))
        label = f"{shown.name} {shown.score:.2f}" if shown.seen else f"{shown.name} {shown.state}"
        above = 0.8 * size_m * (shown.T_fixed_object[:3, :3].T @ self._up)  # so that it does not cover the object
        self._recording.log(f"{entity}/name", rr.Points3D([above], radii=0.001, labels=[label]))
        self._recording.log(f"{entity}/covariance", _ellipsoids(shown.T_fixed_object, shown.covariance, 0.6 * size_m))
        if shown.seen:
            sigma = np.sqrt(np.maximum(np.diag(shown.covariance), 0.0))
            values = (
                shown.score,
                1000.0 * float(np.linalg.norm(sigma[:3])),
                float(np.degrees(np.linalg.norm(sigma[3:]))),
            )
            for curve, value in zip(_CURVES, values):
                self._recording.log(f"{curve}/{shown.name}", rr.Scalars(value))

    def _at(self, stamp_ns: int) -> None:
        self._recording.set_time("stamp", timestamp=np.datetime64(int(stamp_ns), "ns"))


def open_viewer(save: Path | None) -> rr.RecordingStream:
    """A Rerun recording that is sent to a viewer, which is started, or to a file for ``rerun FILE``.

    Raises InputError when there is no display for a viewer, it does not start, or the file cannot be written.
    """
    recording = rr.RecordingStream("pose_node")
    if save is not None:
        try:
            save.open("ab").close()
        except OSError as error:
            raise InputError(f"--save: {save} cannot be written ({error.strerror}), expected a file.") from None
        recording.save(save, default_blueprint=layout())
        return recording
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(
            "view: found no display (DISPLAY and WAYLAND_DISPLAY are empty), expected one for the viewer; --save FILE.rrd writes a "
            "file for `rerun FILE.rrd` on another machine."
        )
    # The viewer is installed with the package beside this Python, which is on the PATH only in an activated environment.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        recording.spawn(default_blueprint=layout())
    except RuntimeError as error:
        raise InputError(f"view: the viewer did not start ({str(error).strip().splitlines()[0]}).") from None
    return recording


def layout() -> rrb.Blueprint:
    """The scene with the log below, and beside it the scores and the stated standard deviations over time."""
    curves = [
        rrb.TimeSeriesView(origin="score", name="score"),
        rrb.TimeSeriesView(origin="sigma_mm", name="stated sigma of the position, mm"),
        rrb.TimeSeriesView(origin="sigma_deg", name="stated sigma of the rotation, degrees"),
    ]
    log = rrb.TextLogView(origin=_LOG, name="log")
    scene = rrb.Spatial3DView(origin=_FIXED, name="fixed frame")
    parts = rrb.Horizontal(rrb.Vertical(scene, log, row_shares=[4, 1]), rrb.Vertical(*curves), column_shares=[2, 1])
    return rrb.Blueprint(parts, rrb.BlueprintPanel(state="collapsed"), rrb.SelectionPanel(state="collapsed"))


def _object(name: str) -> str:
    return f"{_FIXED}/objects/{name}"


def _transform(T: Array) -> rr.Transform3D:
    return rr.Transform3D(translation=T[:3, 3], quaternion=Rotation.from_matrix(T[:3, :3]).as_quat())


def _axes(length_m: float) -> rr.Arrows3D:
    return rr.Arrows3D(vectors=length_m * np.eye(3), colors=_AXES, radii=0.012 * length_m)


def _ellipsoids(T_fixed_object: Array, covariance: Array, reach_m: float) -> rr.Ellipsoids3D:
    """95 % ellipsoids of the object's origin and of the tips of its axes, in the object's frame.

    A point r from the origin moves by dt + dw x r, so its covariance is J C J' with J = [1, -[r]x]: the origin shows the
    uncertainty of the position, the tips that of the rotation.
    """
    to_object = T_fixed_object[:3, :3].T
    C = se3.rotate_covariance(to_object, covariance)
    centres, half_sizes, quaternions = [], [], []
    for r in (np.zeros(3), *(reach_m * np.eye(3))):
        across = np.array([[0.0, -r[2], r[1]], [r[2], 0.0, -r[0]], [-r[1], r[0], 0.0]])
        J = np.hstack([np.eye(3), -across])
        variances, axes = np.linalg.eigh(J @ C @ J.T)
        axes[:, 0] *= np.linalg.det(axes)  # a rotation, not a reflection
        centres.append(r)
        # An unobservable direction would fill the scene: no half axis is longer than ``reach_m``.
        half_sizes.append(np.minimum(_WITHIN * np.sqrt(np.maximum(variances, 0.0)), reach_m))
        quaternions.append(Rotation.from_matrix(axes).as_quat())
    return rr.Ellipsoids3D(
        centers=centres, half_sizes=half_sizes, quaternions=quaternions, colors=[(255, 255, 255), *_AXES]
    )


def meshes_of(folders: Sequence[Path]) -> Callable[[str], tuple[Array, Any]]:
    """The ``meshes`` of ``Canvas`` for object folders."""
    by_name = {folder.name: folder for folder in folders}
    return lambda name: read_ply(load_card(by_name[name]).mesh_path)
