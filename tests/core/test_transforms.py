"""The tree of frames: chains, interpolation, and an error rather than a guess."""

from __future__ import annotations

from types import SimpleNamespace as Message

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from pose_node import se3
from pose_node.errors import InputError
from pose_node.transforms import TransformTree


def random_motion(rng) -> np.ndarray:
    return se3.transform(Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix(), rng.normal(size=3))


def code_of(tree, *asked) -> str:
    with pytest.raises(InputError) as caught:
        tree.lookup(*asked)
    return caught.value.code


def message(parent, child, sec, q=(0.0, 0.0, 0.0, 1.0), t=(0.0, 0.0, 0.0)) -> Message:
    transform = Message(
        translation=Message(**dict(zip("xyz", t))),
        rotation=Message(**dict(zip("xyzw", q))),
    )
    header = Message(stamp=Message(sec=sec, nanosec=0), frame_id=parent)
    return Message(transforms=[Message(header=header, child_frame_id=child, transform=transform)])


def test_chains_up_and_down(rng):
    """A tree of two branches: every pair of frames, both ways, is the product along the path."""
    tree = TransformTree()
    T_map_base, T_base_camera, T_map_table = (random_motion(rng) for _ in range(3))
    tree.add("map", "base", 5, T_map_base)
    tree.add("base", "camera", 0, T_base_camera, static=True)
    tree.add("map", "table", 0, T_map_table, static=True)
    expected = se3.invert(T_map_table) @ T_map_base @ T_base_camera
    np.testing.assert_allclose(tree.lookup("table", "camera", 5), expected, atol=1e-12)
    np.testing.assert_allclose(tree.lookup("camera", "table", 5), se3.invert(expected), atol=1e-12)
    np.testing.assert_array_equal(tree.lookup("camera", "camera", 5), np.eye(4))
    assert tree.root("camera") == "map" and tree.root("moon") is None


def test_between_samples_it_interpolates_as_slerp_does(rng):
    tree = TransformTree()
    T_a, T_b = random_motion(rng), random_motion(rng)
    tree.add("map", "camera", 1000, T_a)
    tree.add("map", "camera", 2000, T_b)
    slerp = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([T_a[:3, :3], T_b[:3, :3]])))
    for share in (0.0, 0.25, 0.9, 1.0):
        T = tree.lookup("map", "camera", 1000 + int(1000 * share))
        np.testing.assert_allclose(T[:3, :3], slerp(share).as_matrix(), atol=1e-12)
        np.testing.assert_allclose(T[:3, 3], (1 - share) * T_a[:3, 3] + share * T_b[:3, 3], atol=1e-12)


def test_samples_may_come_in_any_order_and_twice(rng):
    ordered, shuffled = TransformTree(), TransformTree()
    samples = [(stamp, random_motion(rng)) for stamp in range(0, 100, 10)]
    for stamp, T in samples:
        ordered.add("map", "camera", stamp, T)
    for i in rng.permutation(len(samples)):
        shuffled.add("map", "camera", samples[i][0], random_motion(rng))
        shuffled.add("map", "camera", *samples[i])
    for stamp in range(0, 91, 3):
        np.testing.assert_array_equal(ordered.lookup("map", "camera", stamp), shuffled.lookup("map", "camera", stamp))


def test_what_cannot_be_told_is_an_error(rng):
    tree = TransformTree()
    assert code_of(tree, "map", "camera", 0) == "tf_unknown"
    tree.add("map", "base", 10, random_motion(rng))
    tree.add("map", "base", 20, random_motion(rng))
    tree.add("other", "thing", 0, random_motion(rng), static=True)
    assert code_of(tree, "map", "base", 9) == "tf_early"
    assert code_of(tree, "map", "base", 21) == "tf_late"
    assert code_of(tree, "map", "thing", 15) == "tf_apart"
    assert code_of(tree, "map", "", 15) == "tf_unnamed"
    with pytest.raises(InputError, match="own child"):
        tree.add("base", "map", 15, np.eye(4))


def test_a_static_edge_holds_at_every_stamp_and_the_last_word_counts(rng):
    tree = TransformTree()
    tree.add("base", "camera", 100, random_motion(rng), static=True)
    T = random_motion(rng)
    tree.add("base", "camera", 50, T, static=True)
    for stamp in (0, 10**18):
        np.testing.assert_array_equal(tree.lookup("base", "camera", stamp), T)


def test_another_parent_starts_the_edge_anew(rng):
    tree = TransformTree()
    tree.add("table", "cup", 10, random_motion(rng))
    T = random_motion(rng)
    tree.add("gripper", "cup", 20, T)
    np.testing.assert_array_equal(tree.lookup("gripper", "cup", 20), T)
    assert code_of(tree, "table", "cup", 20) == "tf_unknown"


def test_memory_is_bounded_and_a_jump_back_can_be_forgotten(rng):
    tree = TransformTree(keep_ns=100)
    tree.add("base", "camera", 0, np.eye(4), static=True)
    for stamp in range(0, 1000, 10):
        tree.add("map", "base", stamp, np.eye(4))
    assert code_of(tree, "map", "camera", 880) == "tf_early"
    tree.lookup("map", "camera", 895)
    tree.clear_timed()
    tree.lookup("base", "camera", 0)
    assert code_of(tree, "map", "camera", 895) == "tf_unknown"


def test_messages_are_checked_at_the_door():
    tree = TransformTree()
    tree.add_message(message("/map", "camera", 1, t=(1.0, 2.0, 3.0)), static=False)
    np.testing.assert_array_equal(tree.lookup("map", "camera", 10**9)[:3, 3], (1, 2, 3))
    for bad in (
        message("map", "camera", 2, q=(0.0, 0.0, 0.0, 0.0)),
        message("map", "camera", 2, t=(float("nan"), 0.0, 0.0)),
    ):
        with pytest.raises(InputError) as caught:
            tree.add_message(bad, static=False)
        assert caught.value.code == "tf_not_rigid"
