"""Real ROS 2 between real processes: a domain of their own, hard time limits, nothing left running."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not find helpers in this folder otherwise

from ros_testing import MODELS, OBJECT, Camera, Peer, Process, active_node


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.ros)


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The models folder, where the network of the test's object is."""
    if not (MODELS / OBJECT / "bank.npz").is_file():
        pytest.skip(f"models/{OBJECT} has no bank.npz yet")
    return MODELS


@pytest.fixture
def start(tmp_path, peer) -> Iterator[Callable[..., Process]]:
    """Start processes that end with the test; the peer gives each time to find its publishers."""
    running: list[Process] = []

    def begin(module: str, *arguments: str, **more: Path) -> Process:
        peer.settled = False
        running.append(Process(module, *arguments, log=tmp_path / f"process.{len(running)}.log", **more))
        return running[-1]

    yield begin
    for process in running:
        process.kill()


@pytest.fixture(scope="module")
def node(shipped, peer, tmp_path_factory) -> Iterator[Process]:
    """The node with one object, active; one for all tests of a module."""
    with active_node(peer, tmp_path_factory.mktemp("node") / "node.log") as process:
        yield process


@pytest.fixture(scope="session")
def frame():
    """A real frame with the object, from the demo's recording."""
    pytest.importorskip("PIL")
    from pose_node.ros.demo import recording

    return recording.read("000002")[0]


@pytest.fixture(scope="session")
def camera(frame):
    """Sends that frame in any shape, and returns the stamp."""
    return Camera(frame)


@pytest.fixture(autouse=True)
def watchdog(request) -> Iterator[None]:
    """The last resort against a hang inside DDS, where no time limit of ours reaches: end the whole run, loudly."""

    def give_up() -> None:
        sys.__stderr__.write(f"\n{request.node.nodeid}: hangs for 400 s, giving up\n")
        os._exit(70)

    timer = threading.Timer(400.0, give_up)
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()
