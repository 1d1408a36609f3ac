"""Every storage gives the same messages; a damaged one gives its complete messages and a note."""

from __future__ import annotations

import shutil
import sqlite3

import numpy as np
import pytest
from bag_writing import (
    KINDS,
    ROS1_KINDS,
    STORE,
    STORE1,
    as_ros1,
    depth_mm,
    depth_recording,
    mcap_bytes,
    write_bag,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from pose_node.errors import InputError
from pose_node.evaluation.sources.bags import BagFrames
from pose_node.evaluation.sources.recordings import Recording

ALL = [*KINDS, *ROS1_KINDS]


def depths(path) -> tuple[list[np.ndarray], list[str]]:
    with Recording(path) as recording:
        found = [m.message for m in recording.messages(["/depth/image_rect"])]
        return [np.frombuffer(m.data, np.uint16).reshape(m.height, m.width) for m in found], recording.notes


@pytest.mark.parametrize("kind", ALL)
def test_each_storage_gives_its_messages(tmp_path, kind):
    path = write_bag(tmp_path / "drive", depth_recording(5), kind)
    found, notes = depths(path)
    np.testing.assert_array_equal(found, [depth_mm(n) for n in range(5)])
    assert notes == []
    with Recording(path) as recording:
        assert recording.topics["/tf"] == "tf2_msgs/msg/TFMessage"
        assert dict(recording.counts) == {"/depth/image_rect": 5, "/depth/camera_info": 5, "/tf": 6}


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorder_that_was_killed_leaves_no_metadata(tmp_path, kind):
    path = write_bag(tmp_path / "drive", depth_recording(5), kind)
    (path / "metadata.yaml").unlink()
    found, _ = depths(path)
    np.testing.assert_array_equal(found, [depth_mm(n) for n in range(5)])


@pytest.mark.parametrize("kind", ALL)
def test_a_file_cut_at_any_byte_gives_its_beginning(tmp_path, rng, kind):
    """Fifty cuts of each storage: never an error but ours, the messages before the cut, and a sentence if any are lost."""
    path = write_bag(tmp_path / "drive", depth_recording(5), kind)
    file = next(p for p in path.iterdir() if p.name != "metadata.yaml") if path.is_dir() else path
    whole = file.read_bytes()
    for at in [0, 1, len(whole) - 1, *rng.integers(0, len(whole), 47).tolist()]:
        file.write_bytes(whole[:at])
        found, notes = depths(path)
        assert notes or len(found) == 5, at
        assert all((image == depth_mm(n)).all() for n, image in enumerate(found)), at


@pytest.mark.parametrize("kind", ["mcap", "mcap_chunks", "sqlite", "bag", "bag_lz4"])
def test_most_of_a_long_recording_survives_the_loss_of_its_end(tmp_path, kind):
    path = write_bag(tmp_path / "drive", depth_recording(200), kind)
    file = next(p for p in path.iterdir() if p.name != "metadata.yaml") if path.is_dir() else path
    file.write_bytes(file.read_bytes()[: int(0.7 * file.stat().st_size)])
    found, notes = depths(path)
    assert len(found) > 60
    assert "complete messages were read" in " ".join(notes)


@pytest.mark.parametrize("kind", ALL)
def test_a_file_with_flipped_bits_raises_no_other_error(tmp_path, rng, kind):
    path = write_bag(tmp_path / "drive", depth_recording(5), kind)
    file = next(p for p in path.iterdir() if p.name != "metadata.yaml") if path.is_dir() else path
    whole = np.frombuffer(file.read_bytes(), np.uint8)
    for _ in range(20):
        broken = whole.copy()
        broken[rng.integers(0, len(whole), 5)] ^= rng.integers(1, 256, 5).astype(np.uint8)
        file.write_bytes(broken.tobytes())
        try:
            depths(path)
        except InputError as error:
            assert "expected" in str(error)


def test_metadata_cut_short_is_done_without(tmp_path):
    path = write_bag(tmp_path / "drive", depth_recording(5))
    metadata = path / "metadata.yaml"
    for size in (metadata.stat().st_size // 2, 40, 0):
        metadata.write_bytes(metadata.read_bytes()[:size])
        found, notes = depths(path)
        assert len(found) == 5 and "read one by one" in notes[0]


def test_the_write_ahead_log_of_a_killed_recorder_is_read(tmp_path):
    """SQLite keeps the last rows beside the file until it is closed."""
    path = write_bag(tmp_path / "drive", depth_recording(5), "sqlite")
    (file,) = path.glob("*.db3")
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(
        "INSERT INTO messages (topic_id, timestamp, data) SELECT topic_id, timestamp + 1000000000, data FROM messages"
    )
    database.commit()
    killed = tmp_path / "killed"
    shutil.copytree(path, killed)
    database.close()
    found, notes = depths(killed)
    np.testing.assert_array_equal(found, [depth_mm(n) for n in range(5)] * 2)
    assert "write-ahead log" in notes[0]


def test_bytes_that_are_not_of_their_type_are_left_out(tmp_path):
    messages = depth_recording(3)
    path = tmp_path / "drive"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kinds = {topic: message.__msgtype__ for topic, _, message in messages}
        to = {topic: writer.add_connection(topic, kind, typestore=STORE) for topic, kind in kinds.items()}
        for number, (topic, when_ns, message) in enumerate(messages):
            data = STORE.serialize_cdr(message, kinds[topic])
            writer.write(to[topic], when_ns, data if number != 1 else b"\0\1\0\0junk")
    found, notes = depths(path)
    np.testing.assert_array_equal(found, [depth_mm(n) for n in (1, 2)])
    assert "found 1 messages that are not a valid sensor_msgs/msg/Image" in notes[0]


def test_the_files_of_a_split_recording_follow_each_other(tmp_path):
    folder = tmp_path / "drive"
    folder.mkdir()
    for part in range(11):
        written = write_bag(tmp_path / f"part_{part}", depth_recording(2, start_ns=(100 + part) * 10**9))
        shutil.move(next(written.glob("*.mcap")), folder / f"drive_{part}.mcap")
    with Recording(folder) as recording:
        stamps = [m.logged_ns for m in recording.messages(["/depth/image_rect"])]
    assert len(stamps) == 22 and stamps == sorted(stamps)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "nothing", tmp_path / "notes.txt", tmp_path / "empty"):
        with pytest.raises(InputError, match="expected"):
            Recording(path)


def ros1_mcap(path, cut=0):
    """What ``mcap convert`` makes of a ROS 1 bag."""
    messages = [(topic, when, as_ros1(message)) for topic, when, message in depth_recording(5)]
    with_types = [
        (topic, m.__msgtype__.replace("/msg/", "/"), "ros1", when, bytes(STORE1.serialize_ros1(m, m.__msgtype__)))
        for topic, when, m in messages
    ]
    data = mcap_bytes(with_types, "ros1")
    path.write_bytes(data[: len(data) - cut])
    return path


def test_messages_of_ros_1_in_an_mcap_file_are_read(tmp_path):
    path = ros1_mcap(tmp_path / "drive.mcap")
    found, _ = depths(path)
    np.testing.assert_array_equal(found, [depth_mm(n) for n in range(5)])
    with Recording(path) as recording:
        assert recording.topics["/tf"] == "tf2_msgs/msg/TFMessage"
        assert dict(recording.counts) == {"/depth/image_rect": 5, "/depth/camera_info": 5, "/tf": 6}
    frames = list(BagFrames(path))
    np.testing.assert_allclose([f.T_fixed_camera[0, 3] for f in frames], 0.1 * np.arange(5), atol=1e-9)


def test_messages_of_ros_1_in_an_mcap_file_that_was_cut(tmp_path):
    found, notes = depths(ros1_mcap(tmp_path / "drive.mcap", cut=3000))
    assert 0 < len(found) < 5 and "read one by one" in notes[0]


@pytest.mark.parametrize("profile", ["", "ros2", "foxglove"])
@pytest.mark.parametrize(
    ("encoding", "schema"), [("protobuf", "foxglove.RawImage"), ("json", "Pose"), ("flatbuffer", "")]
)
def test_an_mcap_file_of_no_ros_is_one_sentence(tmp_path, encoding, schema, profile):
    path = tmp_path / "drive.mcap"
    path.write_bytes(mcap_bytes([(f"/topic_{n}", schema, encoding, n, b"{}") for n in range(30)], profile))
    with pytest.raises(InputError) as caught:
        BagFrames(path)
    said = str(caught.value)
    assert said.startswith("drive.mcap: found messages that are not of ROS on /topic_0") and "and 20 more" in said
    assert f"({encoding} of {schema or 'no schema'})" in said and "expected the encoding cdr (ROS 2) or ros1" in said


def test_messages_of_ros_are_read_beside_others(tmp_path):
    path = tmp_path / "drive.mcap"
    messages = [
        (t, m.__msgtype__, "cdr", when, bytes(STORE.serialize_cdr(m, m.__msgtype__)))
        for t, when, m in depth_recording(3)
    ]
    path.write_bytes(mcap_bytes([*messages, ("/notes", "Note", "json", 1, b"{}")], ""))
    bag = BagFrames(path)
    assert len(list(bag)) == 3
    assert "not of ROS on /notes (json of Note)" in "\n".join(bag.notes)
