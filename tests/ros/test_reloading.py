"""``~/reload_objects`` of the real node: object folders come, change and go while frames are answered."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("tf2_msgs", reason="neither a ROS installation nor script/setup has made tf2_msgs")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from ros_testing import MODELS, OBJECT, call, change, node_arguments
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

OTHER, IDS = "potted_meat_can", {5: OBJECT, 9: "potted_meat_can"}
OFTEN = {"fixed_frame": "camera", "track.detect_period_s": "0.2", "track.detect_lag_s": "0.1"}


@pytest.fixture
def models(tmp_path, shipped):
    """A models folder with the test's object."""
    shutil.copytree(shipped / OBJECT, tmp_path / "models" / OBJECT)
    return tmp_path / "models"


@pytest.fixture
def begin(start, peer, models):
    """Start a node that searches for all objects of ``models``, with further parameters."""

    def begun(**parameters):
        process = start("pose_node.ros.node", *node_arguments(models=str(models), objects="['']", **parameters))
        process.wait_for("active" if parameters.get("autostart") != "false" else "")
        peer.forget()
        return process

    return begun


def reload(peer):
    return call(peer, Trigger, "reload_objects", Trigger.Request(), patience_s=60.0)


def add(models, name):
    shutil.copytree(MODELS / name, models / name)


def set_texts(peer, name, *texts):
    parameter = Parameter(name=name, value=ParameterValue(type=9, string_array_value=list(texts)))
    (result,) = call(peer, SetParameters, "set_parameters", SetParameters.Request(parameters=[parameter])).results
    assert result.successful, result.reason


class Stream:
    """Frames at 10 Hz, masks included, with stamps of their own."""

    def __init__(self, peer, camera):
        self.peer, self.camera, self.sent = peer, camera, 0
        pixels = np.zeros(camera.frame.depth_m.shape, np.uint8)
        for i, (bop_id, _) in enumerate(camera.frame.labels):
            pixels[camera.frame.mask(i)] = bop_id if bop_id in IDS else 0
        self.mask = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="mono8", step=pixels.shape[1])
        self.mask.data = pixels.tobytes()

    def until(self, condition):
        """Send until the condition holds, and return it."""
        for _ in range(600):
            stamp = Time(sec=5000 + self.sent // 10, nanosec=self.sent % 10 * 100_000_000)
            self.camera.send(self.peer, mask=self.mask, stamp=stamp)
            self.sent += 1
            self.peer.spin(0.1)
            if found := condition():
                return found
        raise AssertionError(f"not in 600 frames: {self.peer.values()}")


@pytest.fixture
def stream(peer, camera):
    return Stream(peer, camera)


def confirmed(peer):
    """{object: track id} of the confirmed tracks in the newest diagnostics."""
    tracks = {key: state for key, state in peer.values().items() if key.startswith("track.")}
    return {key.split(".")[2]: int(key.split(".")[1]) for key, state in tracks.items() if state.startswith("confirmed")}


def test_an_added_object_is_tracked_beside_one_that_keeps_its_track_and_a_removed_one_is_gone(
    begin, peer, models, stream
):
    process = begin(**OFTEN, mask_labels=f"['5:{OBJECT}']")
    stream.until(lambda: confirmed(peer) == {OBJECT: 1} and peer.values()["detector"] == "ready")
    poses = []
    listener = peer.node.create_subscription(PoseStamped, f"/pose_node/{OTHER}/pose", poses.append, 10)
    add(models, OTHER)
    set_texts(peer, "mask_labels", *(f"{number}:{name}" for number, name in IDS.items()))
    client = peer.node.create_client(Trigger, "/pose_node/reload_objects")
    peer.until(client.service_is_ready)
    answer = client.call_async(Trigger.Request())
    response = stream.until(lambda: answer.result() if answer.done() else None)
    assert response.success and response.message == f"added {OTHER}; 1 unchanged."
    stream.until(lambda: confirmed(peer).get(OTHER) and poses)
    assert confirmed(peer)[OBJECT] == 1, "it is still the first track"
    assert peer.values()["objects"] == f"{OBJECT} {OTHER}"
    assert {OBJECT, OTHER} == set(peer.values()["active"].split())

    set_texts(peer, "mask_labels", f"5:{OBJECT}")
    set_texts(peer, "objects", OBJECT)
    assert reload(peer).message == f"removed {OTHER}; 1 unchanged."
    stream.until(lambda: confirmed(peer) == {OBJECT: 1} and peer.values()["objects"] == OBJECT)
    names = [topic for topic, _ in peer.node.get_publisher_names_and_types_by_node("pose_node", "/")]
    assert f"/pose_node/{OBJECT}/pose" in names and f"/pose_node/{OTHER}/pose" not in names
    peer.node.destroy_subscription(listener)
    peer.node.destroy_client(client)
    assert process.end() == 0, process.output()


def test_a_broken_folder_is_refused_and_the_node_goes_on_as_before(begin, peer, models, stream):
    process = begin(**OFTEN)
    stream.until(lambda: confirmed(peer) == {OBJECT: 1} and peer.values()["detector"] == "ready")
    add(models, OTHER)
    surface = models / OTHER / "surface.npz"
    whole = surface.read_bytes()
    surface.write_bytes(whole[:1000])
    response = reload(peer)
    assert not response.success
    assert f"{OTHER}/surface.npz" in response.message and "expected" in response.message
    values = stream.until(lambda: v if "reload_refused" in (v := peer.values())["message"] else None)
    assert values["level"] == "1" and values["last_reload"] == f"refused: {response.message}"
    assert (values["objects"], confirmed(peer)) == (OBJECT, {OBJECT: 1})
    surface.write_bytes(whole)
    set_texts(peer, "mask_labels", *(f"{number}:{name}" for number, name in IDS.items()))
    assert reload(peer).message == f"added {OTHER}; 1 unchanged."
    stream.until(lambda: peer.values()["level"] == "0" and confirmed(peer).get(OBJECT) == 1)
    assert "Traceback" not in process.output()
    assert process.end() == 0, process.output()


def test_it_works_in_every_state_and_a_changed_object_starts_a_new_track(begin, peer, models, stream):
    process = begin(**OFTEN, autostart="false")
    refused = reload(peer)
    assert not refused.success and "found unconfigured" in refused.message
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    add(models, OTHER)
    assert reload(peer).message == f"added {OTHER}; 1 unchanged.", "inactive"
    shutil.rmtree(models / OTHER)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.settled = False  # its subscriptions are new
    assert reload(peer).message == f"removed {OTHER}; 1 unchanged."
    stream.until(lambda: confirmed(peer) == {OBJECT: 1})
    assert reload(peer).message == "1 unchanged."
    with (models / OBJECT / "card.yaml").open("a") as card:
        card.write("# measured again\n")
    assert reload(peer).message == f"changed {OBJECT}; 0 unchanged."
    stream.until(lambda: confirmed(peer) == {OBJECT: 2})
    assert process.end() == 0, process.output()


def test_a_reload_that_a_cleanup_overtakes_is_refused_and_one_that_the_end_overtakes_leaves_nothing(
    begin, peer, models
):
    psutil = pytest.importorskip("psutil", reason="the benchmarks' packages are not installed")
    process = begin(**OFTEN, autostart="false")
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    add(models, OTHER)
    client = peer.node.create_client(Trigger, "/pose_node/reload_objects")
    peer.until(client.service_is_ready)
    answer = client.call_async(Trigger.Request())
    assert change(peer, Transition.TRANSITION_CLEANUP)
    peer.until(answer.done)
    assert "cleaned up meanwhile" in answer.result().message
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    peer.until(lambda: peer.values().get("objects") == f"{OBJECT} {OTHER}", 60.0)
    shutil.rmtree(models / OTHER)
    client.call_async(Trigger.Request())
    own = psutil.Process(process.popen.pid)
    peer.until(lambda: len(own.children(recursive=True)) == 2)  # the detector in use and the one that is to replace it
    children = own.children(recursive=True)
    assert process.end() == 0, process.output()
    assert not psutil.wait_procs(children, timeout=20.0)[1]
    assert "Traceback" not in process.output()
    peer.node.destroy_client(client)
