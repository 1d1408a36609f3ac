"""What the ROS tests share: processes that end for certain, our own end of the conversation, messages of a real frame."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = Path(os.environ.get("POSE_NODE_MODELS", REPOSITORY / "models"))
OBJECT = "mustard_bottle"

# Before rclpy is first used: this machine only, a domain of its own, and room for large best-effort messages.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
    os.environ[variable] = str(REPOSITORY / "config" / "fastdds.xml")


class Process:
    """A Python module, or a script, as a child process, with its output kept in a file. Never outlives its test.

    Time limits are wide: they tell a hang from a busy machine, not a fast node from a slow one.
    """

    def __init__(self, module: str, *arguments: str, log: Path, cwd: Path = REPOSITORY) -> None:
        # The publisher's profile is not the node's: a node must do with what a plain machine has.
        env = {key: value for key, value in os.environ.items() if not key.endswith("_DEFAULT_PROFILES_FILE")}
        env["OMP_NUM_THREADS"] = "1"
        self.log = log
        self._file = log.open("w")
        self.started_s = time.monotonic()
        program = [module] if module.endswith(".py") else ["-m", module]
        command = [sys.executable, *program, *arguments]
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPOSITORY), env.get("PYTHONPATH", "")]))
        self.popen = subprocess.Popen(command, cwd=cwd, env=env, stdout=self._file, stderr=self._file)

    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, timeout_s: float = 60.0) -> float:
        """Seconds from the start until its output held ``text``."""
        while text not in self.output():
            assert self.popen.poll() is None, f"ended with {self.popen.returncode}:\n{self.output()}"
            assert time.monotonic() - self.started_s < timeout_s, f"no {text!r} in {timeout_s} s:\n{self.output()}"
            time.sleep(0.02)
        return time.monotonic() - self.started_s

    def end(self, number: int = signal.SIGTERM, timeout_s: float = 30.0) -> int:
        """Send the signal and return the exit code; a process that does not obey is killed, and the test fails."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        try:
            return self.popen.wait(timeout_s)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(10.0)
        self._file.close()

    def resident_mb(self) -> float:
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")


class Peer:
    """Our own end of the conversation: a node that sends measurements and keeps what pose_node says."""

    def __init__(self) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import PoseArray, PoseStamped, PoseWithCovarianceStamped
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions
        from visualization_msgs.msg import MarkerArray

        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("peer")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.received: dict[str, list] = {}
        for name, topic, kind in (
            ("poses", "/pose_node/poses", PoseArray),
            ("pose", f"/pose_node/{OBJECT}/pose", PoseStamped),
            ("covariance", f"/pose_node/{OBJECT}/pose_with_covariance", PoseWithCovarianceStamped),
            ("markers", "/pose_node/markers", MarkerArray),
            ("diagnostics", "/diagnostics", DiagnosticArray),
        ):
            self.received[name] = []
            self.node.create_subscription(kind, topic, self.received[name].append, 100)
        self.publishers: dict[tuple, object] = {}
        self.settled = True
        self._stamp_s = 1000

    def publisher(self, topic: str, kind: type, reliable: bool = True):
        """One publisher a topic: those of another kind or quality are taken away first, as another driver would."""
        from rclpy.qos import QoSProfile, ReliabilityPolicy

        key = (topic, reliable)
        for other in [k for k in self.publishers if k[0] == topic and k != key]:
            self.node.destroy_publisher(self.publishers.pop(other))
        if key not in self.publishers:
            quality = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
            self.publishers[key] = self.node.create_publisher(kind, topic, QoSProfile(depth=5, reliability=quality))
            self.settled = False
        return self.publishers[key]

    def settle(self, publishers) -> None:
        """Wait until the node subscribes to these publishers: before, what they send is lost."""
        waiting = list(publishers)
        self.until(lambda: all(publisher.get_subscription_count() for publisher in waiting))
        if not self.settled:
            self.spin(0.5)  # the node copies a new publisher's reliability once it sees it
            self.settled = True

    def silence(self, topic: str) -> None:
        """Stop publishing on a topic."""
        for key in [k for k in self.publishers if k[0] == topic]:
            self.node.destroy_publisher(self.publishers.pop(key))

    def stamp(self):
        """A new stamp."""
        from builtin_interfaces.msg import Time

        self._stamp_s += 1
        return Time(sec=self._stamp_s, nanosec=123456789)

    def spin(self, seconds: float) -> None:
        self.until(lambda: False, seconds, must=False)

    def until(self, condition: Callable[[], object], timeout_s: float = 60.0, must: bool = True):
        """Spin until the condition holds and return it; fail when it does not in time."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            found = condition()
            if found:
                return found
            self.executor.spin_once(timeout_sec=0.02)
        assert not must, f"not in {timeout_s} s; last diagnostics: {self.values()}"
        return None

    def answer(self, stamp, name: str = "poses"):
        """The message with this stamp among those received, or None."""
        return next((m for m in reversed(self.received[name]) if m.header.stamp == stamp), None)

    def wait(self, stamp, name: str = "poses"):
        """The message with this stamp, as soon as it arrives."""
        return self.until(lambda: self.answer(stamp, name))

    def values(self) -> dict[str, str]:
        """The newest diagnostics of pose_node as a dictionary, with its level and line."""
        for message in reversed(self.received["diagnostics"]):
            for status in message.status:
                if status.name.endswith("pose_node"):
                    values = {pair.key: pair.value for pair in status.values}
                    return {**values, "level": str(ord(status.level)), "message": status.message}
        return {}

    def forget(self) -> None:
        for messages in self.received.values():
            messages.clear()

    def close(self) -> None:
        import rclpy

        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()


def call(peer: Peer, kind: type, service: str, request, patience_s: float = 5.0):
    """The node's answer; asked for again where none came: nothing that may not be asked for twice."""
    client = peer.node.create_client(kind, f"/pose_node/{service}")
    try:
        for _ in range(20):  # a node that was killed a moment ago may still seem to be there, and does not answer
            peer.until(client.service_is_ready)
            future = client.call_async(request)
            if peer.until(future.done, patience_s, must=False):
                return future.result()
    finally:
        peer.node.destroy_client(client)
    raise AssertionError(f"{service}: no answer")


def change(peer: Peer, transition: int) -> bool:
    """Ask for a transition of the node's lifecycle; whether it succeeded."""
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    request = ChangeState.Request(transition=Transition(id=transition))
    return call(peer, ChangeState, "change_state", request, patience_s=60.0).success


def state(peer: Peer) -> str:
    """The label of the state that the node is in."""
    from lifecycle_msgs.srv import GetState

    return call(peer, GetState, "get_state", GetState.Request()).current_state.label


def node_arguments(**parameters: str) -> list[str]:
    """Command line of the node with one object, and these parameters."""
    values = {"models": str(MODELS), "objects": f"[{OBJECT}]", "diagnostics_period_s": "0.1", **parameters}
    return ["--ros-args", *(word for name, value in values.items() for word in ("-p", f"{name}:={value}"))]


@contextmanager
def active_node(peer: Peer, log: Path, **parameters: str) -> Iterator[Process]:
    """The node with one object and these parameters, active; it has to end well."""
    process = Process("pose_node.ros.node", *node_arguments(**parameters), log=log)
    try:
        process.wait_for("active")
        peer.forget()
        peer.settled = False
        yield process
        assert process.end() == 0, process.output()
    finally:
        process.kill()


class Camera:
    """Messages of one real frame, faults included."""

    def __init__(self, frame) -> None:
        self.frame = frame
        self.label = next(i for i, (bop_id, _) in enumerate(frame.labels) if bop_id == 5)
        self.truth = frame.labels[self.label][1]

    def info(self, **changes):
        from pose_node.ros.demo.player import camera_info

        message = camera_info(self.frame)
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def depth(self, encoding: str = "32FC1", **changes):
        from sensor_msgs.msg import Image

        depth = self.frame.depth_m
        if encoding == "16UC1":
            pixels = np.rint(1000 * depth).astype(np.uint16)
        else:
            pixels = np.where(depth > 0, depth, np.nan).astype(np.float32)
        message = Image(height=depth.shape[0], width=depth.shape[1], encoding=encoding)
        message.step, message.data = pixels.itemsize * depth.shape[1], pixels.tobytes()
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def mask(self, **changes):
        from sensor_msgs.msg import Image

        pixels = np.where(self.frame.mask(self.label), 5, 0).astype(np.uint8)
        message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="mono8", step=pixels.shape[1])
        message.data = pixels.tobytes()
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def points(self, scale: float = 1.0, **changes):
        from sensor_msgs.msg import PointCloud2, PointField

        depth, K = self.frame.depth_m.astype(float), self.frame.K
        v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
        z = np.where(depth > 0, depth, np.nan)
        xyz = np.stack([(u - K[0, 2]) / K[0, 0] * z, (v - K[1, 2]) / K[1, 1] * z, z], -1)
        message = PointCloud2(height=depth.shape[0], width=depth.shape[1], point_step=12, is_dense=False)
        message.fields = [PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
        message.row_step, message.data = 12 * depth.shape[1], (scale * xyz).astype(np.float32).tobytes()
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def send(
        self, peer: Peer, depth=None, info=None, mask=None, points=None, reliable=True, stamp=None, frame_id="camera"
    ):
        """Publish what is given with one stamp (mask=False: no mask is published) and return the stamp."""
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2

        stamp = stamp or peer.stamp()
        if points is None:
            depth, info = depth or self.depth(), info or self.info()
        if mask is False:
            peer.silence("mask")
        else:
            mask = mask or self.mask()
        parts = (("mask", Image, mask or None), ("depth/camera_info", CameraInfo, info),
                 ("depth/image_rect", Image, depth), ("points", PointCloud2, points))  # fmt: skip
        sent = []
        for topic, kind, message in parts:
            if message is not None:
                sent.append((peer.publisher(topic, kind, reliable), message))
                if not message.header.frame_id:
                    message.header.frame_id = frame_id
                message.header.stamp = stamp
        peer.settle(publisher for publisher, _ in sent)
        for publisher, message in sent:
            publisher.publish(message)
        return stamp
