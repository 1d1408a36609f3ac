"""Results -> ROS messages. The header of each is the measurement's own, so stamps and frames pass through untouched.

``tf2_msgs`` and ``vision_msgs`` are None where they are not installed, and named in
``MISSING``; all else works without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseArray,
    PoseStamped,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from scipy.spatial.transform import Rotation
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pose_node.arrays import Array
from pose_node.geometry import se3
from pose_node.types import Estimate, Track, scored_poses

try:
    import tf2_msgs.msg
except ImportError:
    tf2_msgs = None
try:
    import vision_msgs.msg
except ImportError:
    vision_msgs = None

MISSING = tuple(n for n, package in (("tf2_msgs", tf2_msgs), ("vision_msgs", vision_msgs)) if package is None)
_MARKER_LIFE = Duration(sec=2)  # a silent node leaves no poses standing in the picture
_FULL_SIZE, _TEXT = Vector3(x=1.0, y=1.0, z=1.0), Vector3(z=0.03)
_WHITE, _GREY = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0), ColorRGBA(r=0.6, g=0.6, b=0.6, a=0.4)


def is_publishable(estimate: Estimate) -> bool:
    """True when every number is finite: what is not never leaves the node."""
    return bool(np.isfinite(estimate.T_camera_object).all() and np.isfinite(estimate.covariance).all())


def pose(T_camera_object: Array) -> Pose:
    """[4, 4] -> Pose with a unit quaternion."""
    x, y, z = (float(value) for value in T_camera_object[:3, 3])
    quaternion = Rotation.from_matrix(T_camera_object[:3, :3]).as_quat()
    qx, qy, qz, qw = (float(value) for value in quaternion / np.linalg.norm(quaternion))
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def pose_array(header: Any, estimates: Sequence[Estimate]) -> PoseArray:
    """All instances of all objects, best first."""
    return PoseArray(header=header, poses=[pose(estimate.T_camera_object) for estimate in estimates])


def pose_stamped(header: Any, estimate: Estimate) -> PoseStamped:
    """One instance."""
    return PoseStamped(header=header, pose=pose(estimate.T_camera_object))


def pose_with_covariance(header: Any, estimate: Estimate) -> PoseWithCovarianceStamped:
    """One instance with its 6x6 covariance, row by row."""
    message = PoseWithCovarianceStamped(header=header)
    message.pose.pose = pose(estimate.T_camera_object)
    message.pose.covariance = estimate.covariance.astype(np.float64).ravel()
    return message


def tf_message(header: Any, child_frame: str, T_header_child: Array) -> Any:
    """One edge of the tree of frames, as a TFMessage. Needs tf2_msgs."""
    place = pose(T_header_child)
    at = place.position
    transform = Transform(translation=Vector3(x=at.x, y=at.y, z=at.z), rotation=place.orientation)
    edge = TransformStamped(header=header, child_frame_id=child_frame, transform=transform)
    return tf2_msgs.msg.TFMessage(transforms=[edge])


def detections(
    header: Any, estimates: Sequence[Estimate], boxes_m: Mapping[str, Array], ids: Sequence[str] | None = None
) -> Any:
    """Objects with their boxes as a Detection3DArray, alternatives as further hypotheses. Needs vision_msgs.

    boxes_m: object name -> [2, 3] corners of its box in the object frame, ``Surface.box_m``. ids: of their tracks
    (``detection_id``), one each; None where nothing is tracked.
    """
    array = vision_msgs.msg.Detection3DArray(header=header)
    for i, one in enumerate(estimates):
        T = one.T_camera_object
        low, high = boxes_m[one.object_name]
        results = []
        for T_camera_object, score in scored_poses(T, one.score, one.alternatives):
            result = vision_msgs.msg.ObjectHypothesisWithPose()
            result.hypothesis.class_id = one.object_name
            result.hypothesis.score = float(score)
            result.pose.pose = pose(T_camera_object)
            result.pose.covariance = one.covariance.astype(np.float64).ravel()
            results.append(result)
        middle = se3.transform(np.eye(3), (low + high) / 2)
        x, y, z = (float(edge) for edge in high - low)
        box = vision_msgs.msg.BoundingBox3D(center=pose(T @ middle), size=Vector3(x=x, y=y, z=z))
        name = "" if ids is None else ids[i]
        array.detections.append(vision_msgs.msg.Detection3D(header=header, results=results, bbox=box, id=name))
    return array


def markers(
    header: Any,
    estimates: Sequence[Estimate],
    meshes: Mapping[str, str],
    ids: Sequence[str] | None = None,
    unseen: Sequence[Track] = (),
    fixed_frame: str = "",
) -> MarkerArray:
    """The estimates as meshes with names and scores; the first marker clears those of the frame before.

    meshes: object name -> URI of its mesh in metres. ids: of the estimates' tracks, which then stand for the names. unseen: tracks
    that this frame does not show, grey where they were in fixed_frame, with what is said of them.
    """
    array = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    for i, estimate in enumerate(estimates):
        text = f"{estimate.object_name if ids is None else ids[i]} {estimate.score:.2f}"
        mesh = meshes[estimate.object_name]
        place = pose(estimate.T_camera_object)
        array.markers += _model(header, estimate.object_name, 2 * i, mesh, place, _colour(estimate.score), text)
    there = Header(stamp=header.stamp, frame_id=fixed_frame)
    for i, track in enumerate(unseen):
        why = track.reason.partition(":")[0] or "not seen"
        text = f"{track.name} {f'lost: {why}' if track.state == 'lost' else why}"
        mesh, place = meshes[track.object_name], pose(track.T_fixed_object)
        array.markers += _model(there, f"{track.object_name}/unseen", 2 * i, mesh, place, _GREY, text)
    return array


def _model(header: Any, ns: str, number: int, mesh: str, place: Pose, colour: ColorRGBA, text: str) -> list[Marker]:
    """A mesh, and the text on it."""
    shared = {"header": header, "ns": ns, "lifetime": _MARKER_LIFE}
    body = Marker(
        id=number, type=Marker.MESH_RESOURCE, mesh_resource=mesh, pose=place, scale=_FULL_SIZE, color=colour, **shared
    )
    at = Pose(position=place.position)
    return [
        body,
        Marker(id=number + 1, type=Marker.TEXT_VIEW_FACING, text=text, pose=at, scale=_TEXT, color=_WHITE, **shared),
    ]


def diagnostics(stamp: Any, name: str, level: bytes, summary: str, values: Mapping[str, Any]) -> DiagnosticArray:
    """One status with its key-value pairs; floats with three digits behind the point."""
    pairs = [KeyValue(key=key, value=f"{v:.3f}" if isinstance(v, float) else str(v)) for key, v in values.items()]
    status = DiagnosticStatus(level=level, name=name, message=summary, hardware_id="pose_node", values=pairs)
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def _colour(score: float) -> ColorRGBA:
    """From amber to green as the score grows."""
    return ColorRGBA(r=float(1.0 - score), g=0.8, b=0.2, a=0.7)
