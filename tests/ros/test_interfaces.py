"""The messages that we make ourselves are those of ROS: by their type hashes, and over DDS."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("rosidl_generator_py", reason="ROS 2 is not installed as wheels")

from pose_node.ros.interfaces import build

# Of the packages released for Jazzy, as `ros2 topic info --verbose` shows them.
HASHES = {
    "tf2_msgs/msg/TFMessage": "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
    "vision_msgs/msg/Detection3DArray": "RIHS01_793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
}


@pytest.fixture(scope="module")
def hashes(tmp_path_factory) -> dict[str, str]:
    """Type name -> hash, of all messages that we make and those inside them."""
    scratch, found = tmp_path_factory.mktemp("generated"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMENT_PREFIX_PATH", sys.prefix)
        for package in build.PACKAGES:
            build.generate(package, scratch)
            for path in sorted((scratch / package / "msg").glob("*.json")):
                found.update({h["type_name"]: h["hash_string"] for h in json.loads(path.read_text())["type_hashes"]})
    return found


def test_the_hashes_are_those_of_the_released_packages(hashes):
    assert {name: hashes[name] for name in HASHES} == HASHES


def test_rosbags_computes_the_same_hashes(hashes):
    typesys = pytest.importorskip("rosbags.typesys", reason="rosbags is not installed")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    assert hashes["tf2_msgs/msg/TFMessage"] == store.hash_rihs01("tf2_msgs/msg/TFMessage")
    ours = {}
    for path in sorted((build.DEFINITIONS / "vision_msgs").glob("*.msg")):
        ours.update(typesys.get_types_from_msg(path.read_text(), f"vision_msgs/msg/{path.stem}"))
    store.register(ours)
    assert {name: store.hash_rihs01(name) for name in ours} == {name: hashes[name] for name in ours}


@pytest.mark.parametrize("name", HASHES)
def test_they_are_sent_over_dds(peer, name):
    package, _, kind = name.split("/")
    messages = pytest.importorskip(f"{package}.msg", reason=f"{package} is not installed")
    sent = getattr(messages, kind)()
    for field, inner in sent.get_fields_and_field_types().items():
        if inner.startswith("sequence<"):
            module, _, element = inner.removeprefix("sequence<").removesuffix(">").partition("/")
            of = getattr(pytest.importorskip(f"{module}.msg"), element)
            setattr(sent, field, [of(), of()])
    received: list = []
    subscription = peer.node.create_subscription(type(sent), f"/{package}", received.append, 10)
    publisher = peer.publisher(f"/{package}", type(sent))
    peer.settle([publisher])
    publisher.publish(sent)
    peer.until(lambda: received)
    (publisher_info,) = peer.node.get_publishers_info_by_topic(f"/{package}")
    peer.silence(f"/{package}")
    peer.node.destroy_subscription(subscription)
    assert received == [sent]
    assert str(publisher_info.topic_type_hash) == HASHES[name]


def test_installed_packages_are_not_made(tmp_path, monkeypatch):
    for package in build.PACKAGES:
        (tmp_path / "installed" / package).mkdir(parents=True)
        (tmp_path / "installed" / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "installed")
    assert build.build(tmp_path / "out") == ()
    assert not (tmp_path / "out").exists()


def test_a_missing_compiler_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.BuildError, match="tf2_msgs: found no gcc on the PATH, expected a compiler"):
        build.link("tf2_msgs", {}, tmp_path)
