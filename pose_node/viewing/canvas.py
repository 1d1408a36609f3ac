"""One Rerun recording: the measured points, every object's model at its pose with what its covariance leaves open, and
over time its score, its stated uncertainty, and what is said of it.

Rerun (https://rerun.io) is an open viewer of data over time; the entities are laid out in ``layout``.
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

_FIXED, _CAMERA, _SAID = "fixed", "fixed/camera", "said"
_CURVES = ("score", "sigma_mm", "sigma_deg")
_MOST_POINTS = 60_000  # of a cloud that are kept: a recording holds hundreds of clouds
_AXES = np.array([[230, 60, 60], [60, 190, 80], [70, 110, 240]], np.uint8)  # x, y, z
_STATES = {"confirmed": (70, 200, 110), "tentative": (235, 180, 50)}
_UNSEEN = (130, 130, 130)
_WITHIN = float(np.sqrt(chi2.ppf(0.95, 3)))  # standard deviations of an ellipsoid that holds 95 %


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An object as it is to be drawn: a track, or one pose of a frame that stands alone.

    name: of its entity, the same from frame to frame. T_fixed_object [4, 4]; covariance [6, 6] about the fixed frame's axes.
    seen: whether this frame showed it. told: its state and the reason or note, one line.
    """

    name: str
    object_name: str
    T_fixed_object: Array
    covariance: Array
    score: float
    state: str = "confirmed"
    seen: bool = True
    told: str = ""

    @classmethod
    def of(cls, track: Track) -> Shown:
        """A track after a frame."""
        told = ": ".join(word for word in (track.state, track.note or track.reason) if word)
        pose, seen = (track.T_fixed_object, track.covariance), track.estimate is not None
        return cls(track.name, track.object_name, *pose, track.score, track.state, seen, told)


class Canvas:
    """What has been drawn, and on which time line.

    meshes: object name -> (vertices [V, 3] in metres, triangles [F, 3]), asked for when the object is drawn first.
    fixed_is_camera: the fixed frame is the camera's own optical frame, whose y axis points down.
    """

    def __init__(
        self, meshes: Callable[[str], tuple[Array, Any]], fixed_is_camera: bool, recording: rr.RecordingStream
    ) -> None:
        self._meshes = meshes
        self._known: dict[str, tuple[Array, Any]] = {}
        self._drawn: dict[str, tuple[int, int, int]] = {}  # by name: the colour
        self._told: dict[str, str] = {}
        self._to = recording
        self._up = np.array([0.0, -1.0, 0.0] if fixed_is_camera else [0.0, 0.0, 1.0])
        axes = rr.ViewCoordinates.RDF if fixed_is_camera else rr.ViewCoordinates.RIGHT_HAND_Z_UP
        self._to.log(_FIXED, axes, static=True)
        self._to.log(f"{_CAMERA}/axes", _axes(0.1), static=True)

    def cloud(self, cloud: Cloud, T_fixed_camera: Array) -> None:
        """The measured points, from nearer (bright) to farther, and where the camera stands."""
        self._at(cloud.stamp_ns)
        self._to.log(_CAMERA, _transform(T_fixed_camera))
        if not len(cloud):
            self._to.log(f"{_CAMERA}/cloud", rr.Clear(recursive=False))
            return
        # Drawn at random, as every k-th pixel of an image would show stripes; and the same ones each time.
        points = cloud.points_m
        if len(points) > _MOST_POINTS:
            points = points[np.random.default_rng(0).choice(len(points), _MOST_POINTS, replace=False)]
        range_m = np.linalg.norm(points - cloud.viewpoint_m, axis=1)
        near, far = np.percentile(range_m, [2, 98])
        grey = 60 + 160 * np.clip((far - range_m) / max(far - near, 1e-6), 0.0, 1.0)
        colours = np.stack([0.85 * grey, 0.92 * grey, grey], axis=1).astype(np.uint8)
        self._to.log(f"{_CAMERA}/cloud", rr.Points3D(points.astype(np.float32), colors=colours, radii=0.0008))

    def objects(self, stamp_ns: int, objects: Sequence[Shown]) -> None:
        """All that is known of objects at a stamp; what was drawn before and is not among them goes."""
        self._at(stamp_ns)
        for name in set(self._drawn) - {shown.name for shown in objects}:
            self._to.log(_object(name), rr.Clear(recursive=True))
            del self._drawn[name]
        for shown in objects:
            self._object(shown)
            if shown.told != self._told.get(shown.name, ""):
                self._told[shown.name] = shown.told
                self.say(stamp_ns, f"{shown.name}: {shown.told}", "WARN" if shown.state == "lost" else "INFO")

    def say(self, stamp_ns: int, sentence: str, level: str = "INFO") -> None:
        """A line beside the time line."""
        self._at(stamp_ns)
        self._to.log(_SAID, rr.TextLog(sentence, level=level))

    def _object(self, shown: Shown) -> None:
        where = _object(shown.name)
        if shown.object_name not in self._known:
            self._known[shown.object_name] = self._meshes(shown.object_name)
        vertices, triangles = self._known[shown.object_name]
        size_m = float(np.ptp(vertices, axis=0).max())
        colour = _STATES.get(shown.state, _UNSEEN) if shown.seen else _UNSEEN
        if self._drawn.get(shown.name) != colour:  # a mesh is large: it is sent when it changes
            normals = vertex_normals(vertices, triangles)
            mesh = rr.Mesh3D(
                vertex_positions=vertices, triangle_indices=triangles, vertex_normals=normals, albedo_factor=colour
            )
            self._to.log(f"{where}/mesh", mesh)
            self._to.log(f"{where}/axes", _axes(0.6 * size_m))
            self._drawn[shown.name] = colour
        self._to.log(where, _transform(shown.T_fixed_object))
        label = f"{shown.name} {shown.score:.2f}" if shown.seen else f"{shown.name} {shown.state}"
        above = 0.8 * size_m * (shown.T_fixed_object[:3, :3].T @ self._up)  # so that it does not hide the object
        self._to.log(f"{where}/name", rr.Points3D([above], radii=0.001, labels=[label]))
        self._to.log(f"{where}/covariance", _ellipsoids(shown.T_fixed_object, shown.covariance, 0.6 * size_m))
        if shown.seen:
            sigma = np.sqrt(np.maximum(np.diag(shown.covariance), 0.0))
            values = (
                shown.score,
                1000.0 * float(np.linalg.norm(sigma[:3])),
                float(np.degrees(np.linalg.norm(sigma[3:]))),
            )
            for curve, value in zip(_CURVES, values):
                self._to.log(f"{curve}/{shown.name}", rr.Scalars(value))

    def _at(self, stamp_ns: int) -> None:
        self._to.set_time("stamp", timestamp=np.datetime64(int(stamp_ns), "ns"))


def open_viewer(save: Path | None) -> rr.RecordingStream:
    """A Rerun recording that goes to a viewer, which is started, or to a file for later: ``rerun FILE``.

    Raises InputError when there is no screen for a viewer, it does not start, or the file cannot be written.
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
            "view: found no screen (DISPLAY and WAYLAND_DISPLAY are empty), expected one for the viewer; with --save FILE.rrd the "
            "recording is written instead, for `rerun FILE.rrd` elsewhere."
        )
    # The viewer comes with the package, into the folder of this Python: on the PATH only where its environment is activated.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        recording.spawn(default_blueprint=layout())
    except RuntimeError as error:
        raise InputError(f"view: the viewer did not start ({str(error).strip().splitlines()[0]}).") from None
    return recording


def layout() -> rrb.Blueprint:
    """The scene, what was said below it, and beside it the score and the stated standard deviations over time."""
    curves = [
        rrb.TimeSeriesView(origin="score", name="score"),
        rrb.TimeSeriesView(origin="sigma_mm", name="stated sigma of the position, mm"),
        rrb.TimeSeriesView(origin="sigma_deg", name="stated sigma of the turn, degrees"),
    ]
    said = rrb.TextLogView(origin=_SAID, name="what was said")
    scene = rrb.Spatial3DView(origin=_FIXED, name="fixed frame")
    parts = rrb.Horizontal(rrb.Vertical(scene, said, row_shares=[4, 1]), rrb.Vertical(*curves), column_shares=[2, 1])
    return rrb.Blueprint(parts, rrb.BlueprintPanel(state="collapsed"), rrb.SelectionPanel(state="collapsed"))


def _object(name: str) -> str:
    return f"{_FIXED}/objects/{name}"


def _transform(T: Array) -> rr.Transform3D:
    return rr.Transform3D(translation=T[:3, 3], quaternion=Rotation.from_matrix(T[:3, :3]).as_quat())


def _axes(length_m: float) -> rr.Arrows3D:
    return rr.Arrows3D(vectors=length_m * np.eye(3), colors=_AXES, radii=0.012 * length_m)


def _ellipsoids(T_fixed_object: Array, covariance: Array, reach_m: float) -> rr.Ellipsoids3D:
    """Where the object's origin and the tips of its axes are with 95 %, in the object's frame.

    A point r from the origin moves by dt + dw x r, so its covariance is J C J' with J = [1, -[r]x]: the tips show what of the
    turn is open, the origin what of the position.
    """
    to_object = T_fixed_object[:3, :3].T
    C = se3.rotate_covariance(to_object, covariance)
    centres, half_sizes, quaternions = [], [], []
    for r in (np.zeros(3), *(reach_m * np.eye(3))):
        across = np.array([[0.0, -r[2], r[1]], [r[2], 0.0, -r[0]], [-r[1], r[0], 0.0]])
        J = np.hstack([np.eye(3), -across])
        variances, axes = np.linalg.eigh(J @ C @ J.T)
        axes[:, 0] *= np.linalg.det(axes)  # a rotation, not a mirror image
        centres.append(r)
        # What is wholly unknown would fill the scene: no half axis is longer than the object's own.
        half_sizes.append(np.minimum(_WITHIN * np.sqrt(np.maximum(variances, 0.0)), reach_m))
        quaternions.append(Rotation.from_matrix(axes).as_quat())
    return rr.Ellipsoids3D(
        centers=centres, half_sizes=half_sizes, quaternions=quaternions, colors=[(255, 255, 255), *_AXES]
    )


def meshes_of(folders: Sequence[Path]) -> Callable[[str], tuple[Array, Any]]:
    """The meshes of object folders, by name; for ``Canvas``."""
    by_name = {folder.name: folder for folder in folders}
    return lambda name: read_ply(load_card(by_name[name]).mesh_path)
