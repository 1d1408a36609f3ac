"""Results -> ROS messages, each with the measurement's own header, so stamps and frames pass through unchanged.

``tf2_msgs`` and ``vision_msgs`` are None where they are not installed, and named in ``MISSING``; the rest works without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
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
_MARKER_LIFETIME = Duration(sec=2)  # markers vanish when the node stops
_FULL_SIZE, _TEXT_SIZE = Vector3(x=1.0, y=1.0, z=1.0), Vector3(z=0.03)
_WHITE, _GREY = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0), ColorRGBA(r=0.6, g=0.6, b=0.6, a=0.4)


def pose(T_camera_object: Array) -> Pose:
    """[4, 4] -> Pose with a unit quaternion."""
    x, y, z = (float(value) for value in T_camera_object[:3, 3])
    quaternion = Rotation.from_matrix(T_camera_object[:3, :3]).as_quat()
    qx, qy, qz, qw = (float(value) for value in quaternion / np.linalg.norm(quaternion))
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def pose_array(header: Header, estimates: Sequence[Estimate]) -> PoseArray:
    """Estimates of all objects, best first."""
    return PoseArray(header=header, poses=[pose(estimate.T_camera_object) for estimate in estimates])


def pose_stamped(header: Header, estimate: Estimate) -> PoseStamped:
    """One estimate."""
    return PoseStamped(header=header, pose=pose(estimate.T_camera_object))


def pose_with_covariance(header: Header, estimate: Estimate) -> PoseWithCovarianceStamped:
    """One estimate with its 6x6 covariance, row by row."""
    message = PoseWithCovarianceStamped(header=header)
    message.pose.pose = pose(estimate.T_camera_object)
    message.pose.covariance = estimate.covariance.astype(np.float64).ravel()
    return message


def tf_message(header: Header, child_frame: str, T_header_child: Array) -> Any:
    """One edge of the tree of frames, as a TFMessage. Needs tf2_msgs."""
    child = pose(T_header_child)
    at = child.position
    transform = Transform(translation=Vector3(x=at.x, y=at.y, z=at.z), rotation=child.orientation)
    edge = TransformStamped(header=header, child_frame_id=child_frame, transform=transform)
    return tf2_msgs.msg.TFMessage(transforms=[edge])


def detections(
    header: Header, estimates: Sequence[Estimate], boxes_m: Mapping[str, Array], ids: Sequence[str] = ()
) -> Any:
    """Estimates with their boxes as a Detection3DArray, alternatives as further hypotheses. Needs vision_msgs.

    boxes_m: object name -> [2, 3] corners of its box in the object frame, ``Surface.box_m``. ids: one for each estimate
    (``detection_id``); empty without tracking.
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
        T_object_box = se3.transform(np.eye(3), (low + high) / 2)
        x, y, z = (float(edge) for edge in high - low)
        box = vision_msgs.msg.BoundingBox3D(center=pose(T @ T_object_box), size=Vector3(x=x, y=y, z=z))
        track = ids[i] if ids else ""
        array.detections.append(vision_msgs.msg.Detection3D(header=header, results=results, bbox=box, id=track))
    return array


def markers(
    header: Header,
    estimates: Sequence[Estimate],
    meshes: Mapping[str, str],
    ids: Sequence[str] = (),
    unseen: Sequence[Track] = (),
    fixed_frame: str = "",
) -> MarkerArray:
    """The estimates as meshes with names and scores; the first marker deletes those of the frame before.

    meshes: object name -> URI of its mesh in metres. ids: one for each estimate, shown instead of the object's name. unseen:
    tracks that are not seen in this frame, drawn grey at their last pose in fixed_frame, with the reason.
    """
    array = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    for i, estimate in enumerate(estimates):
        text = f"{ids[i] if ids else estimate.object_name} {estimate.score:.2f}"
        mesh = meshes[estimate.object_name]
        at = pose(estimate.T_camera_object)
        array.markers += _mesh_and_text(header, estimate.object_name, 2 * i, mesh, at, _colour(estimate.score), text)
    fixed = Header(stamp=header.stamp, frame_id=fixed_frame)
    for i, track in enumerate(unseen):
        why = track.reason.partition(":")[0] or "not seen"
        text = f"{track.name} {f'lost: {why}' if track.state == 'lost' else why}"
        mesh, at = meshes[track.object_name], pose(track.T_fixed_object)
        array.markers += _mesh_and_text(fixed, f"{track.object_name}/unseen", 2 * i, mesh, at, _GREY, text)
    return array


def _mesh_and_text(
    header: Header, ns: str, number: int, mesh: str, at: Pose, colour: ColorRGBA, text: str
) -> tuple[Marker, Marker]:
    shared = {"header": header, "ns": ns, "lifetime": _MARKER_LIFETIME}
    return (
        Marker(
            id=number, type=Marker.MESH_RESOURCE, mesh_resource=mesh, pose=at, scale=_FULL_SIZE, color=colour, **shared
        ),
        Marker(
            id=number + 1,
            type=Marker.TEXT_VIEW_FACING,
            text=text,
            pose=Pose(position=at.position),
            scale=_TEXT_SIZE,
            color=_WHITE,
            **shared,
        ),
    )


def diagnostics(stamp: Time, name: str, level: bytes, summary: str, values: Mapping[str, Any]) -> DiagnosticArray:
    """One status with its key-value pairs; floats with three decimal places."""
    pairs = [KeyValue(key=key, value=f"{v:.3f}" if isinstance(v, float) else str(v)) for key, v in values.items()]
    status = DiagnosticStatus(level=level, name=name, message=summary, hardware_id="pose_node", values=pairs)
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def _colour(score: float) -> ColorRGBA:
    """From amber to green as the score grows."""
    return ColorRGBA(r=float(1.0 - score), g=0.8, b=0.2, a=0.7)
