"""The tree of frames: chains, interpolation, and an error rather than a guess."""

from __future__ import annotations

from types import SimpleNamespace as Message

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.messages import transforms
from pose_node.messages.transforms import TransformTree

SECOND = 1_000_000_000


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


def test_an_unknown_transform_is_an_error(rng):
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


def test_a_static_edge_is_valid_at_every_stamp_and_the_last_one_wins(rng):
    tree = TransformTree()
    tree.add("base", "camera", 100, random_motion(rng), static=True)
    T = random_motion(rng)
    tree.add("base", "camera", 50, T, static=True)
    for stamp in (0, 10**18):
        np.testing.assert_array_equal(tree.lookup("base", "camera", stamp), T)


def test_another_parent_replaces_the_edge(rng):
    tree = TransformTree()
    tree.add("table", "cup", 10, random_motion(rng))
    T = random_motion(rng)
    tree.add("gripper", "cup", 20, T)
    np.testing.assert_array_equal(tree.lookup("gripper", "cup", 20), T)
    assert code_of(tree, "table", "cup", 20) == "tf_unknown"


def test_a_static_edge_is_kept_against_timed_samples():
    tree = TransformTree()
    tree.add("arm", "camera", 0, at(1.0), static=True)
    with pytest.raises(InputError, match="'camera' on /tf and on /tf_static"):
        tree.add("elsewhere", "camera", 5, at(2.0))
    assert tree.lookup("arm", "camera", 5)[0, 3] == 1.0


def test_memory_is_bounded():
    tree = TransformTree(keep_ns=100)
    tree.add("base", "camera", 0, np.eye(4), static=True)
    for stamp in range(0, 1000, 10):
        tree.add("map", "base", stamp, np.eye(4))
    assert code_of(tree, "map", "camera", 880) == "tf_early"
    tree.lookup("map", "camera", 895)


def test_a_flood_of_new_names_drops_no_edge_in_use(monkeypatch):
    monkeypatch.setattr(transforms, "_MAX_TIMED", 100)
    monkeypatch.setattr(transforms, "_MAX_STATIC", 1000)
    tree = TransformTree()
    tree.add("arm", "camera", 0, np.eye(4), static=True)
    for i in range(500):
        tree.add("map", f"box_{i}", i, np.eye(4))
        tree.add("arm", f"label_{i}", 0, np.eye(4), static=True)
        if i < 10:
            tree.add("map", "arm", i, np.eye(4))
        else:
            tree.lookup("map", "camera", 5)  # not sent any more, but looked up
    assert len(tree._edges) <= 100 + 501
    tree.lookup("map", "box_499", 499)
    assert code_of(tree, "map", "box_0", 0) == "tf_unknown"


def test_stamp_0_on_tf_is_reported():
    tree = TransformTree()
    tree.add("map", "arm", 0, np.eye(4))
    with pytest.raises(InputError, match="found stamp 0 on /tf for 'arm' in 'map'"):
        tree.lookup("map", "arm", 5 * SECOND)


def test_of_three_publishers_of_one_edge_the_nearest_in_time_answers():
    """Stamps as they are, 1.6 s behind and 2.5 s ahead, at rates of their own: what is asked for at the present is answered."""
    rng = np.random.default_rng(0)
    tree, last = TransformTree(), 0.0
    for k in range(600):
        now = 10.0 + 0.03 * k + rng.uniform(0.0, 0.01)
        for shift, every, x in ((0.0, 1, 1.0), (-1.6, 3, 2.0), (2.5, 5, 3.0)):
            if k % every == 0:
                tree.add("map", "arm", int((now + shift) * SECOND), at(x))
        if k > 10:
            assert tree.lookup("map", "arm", int((0.5 * (now + last)) * SECOND))[0, 3] == pytest.approx(1.0)
        last = now


def at(x):
    return se3.transform(np.eye(3), np.array([x, 0.0, 0.0]))


def test_after_a_clock_is_set_back_its_first_samples_are_used():
    """The run of before lies ahead in time and must not answer for the new one, nor hold it up."""
    tree = TransformTree()
    for k in range(100, 130):
        tree.add("map", "arm", k * SECOND // 10, at(1.0))
    for k in range(5):
        tree.add("map", "arm", k * SECOND // 10, at(2.0))
    assert tree.lookup("map", "arm", 35 * SECOND // 100)[0, 3] == 2.0
    assert code_of(tree, "map", "arm", SECOND // 2) == "tf_late"  # and not what the arm did before, at that stamp


@settings(max_examples=30)
@given(st.floats(0.1, 8.0), st.floats(0.02, 1.0), st.floats(0.02, 1.0), st.integers(0, 2**32 - 1), st.booleans())
def test_a_lagging_second_publisher_changes_nothing(lag_s, period_s, their_period_s, seed, of_the_same_edge):
    """Irregular rates, any order of arrival: look-ups near the present are those of the publisher that keeps up."""
    rng = np.random.default_rng(seed)
    lag_s += 1.0 + 1.5 * period_s  # nearer than that, their stamps are disorder and not another clock
    ours = 20.0 + np.cumsum(rng.uniform(0.5, 1.5, 40) * period_s)
    theirs = 20.0 + np.cumsum(rng.uniform(0.5, 1.5, 40) * their_period_s)
    events = sorted(
        [(t, t, "arm", 1.0) for t in ours] + [(t, t - lag_s, "arm" if of_the_same_edge else "cup", 2.0) for t in theirs]
    )
    events = [event for event in events if event[0] <= ours[-1]]
    tree = TransformTree()
    known = None
    for _, stamp, child, x in events:
        tree.add("map", child, int(stamp * SECOND), at(x))
        known = int(stamp * SECOND) if x == 1.0 else known
        if known is not None:
            assert tree.lookup("map", "arm", known)[0, 3] == 1.0


@pytest.mark.parametrize("period_s", [0.033, 0.5])
def test_a_looped_recording_answers_in_every_round(period_s):
    """Rounds of 4 s, every edge by a clock of its own rate; each stamp between two samples is answered from this round."""
    rng = np.random.default_rng(0)
    tree = TransformTree()
    stamps = np.arange(0.0, 4.0, period_s)
    slow = np.arange(0.0, 4.0, 0.9)
    for turn in range(3):
        events = sorted(
            [(s, "arm") for s in stamps + rng.uniform(0, 0.2 * period_s, len(stamps))] + [(s, "base") for s in slow]
        )
        fed = {"arm": [], "base": []}
        for stamp, child in events:
            tree.add({"arm": "base", "base": "map"}[child], child, int(stamp * SECOND), at(float(turn)))
            fed[child].append(stamp)
            last = min(f[-1] if f else -1.0 for f in fed.values())
            if last >= max(f[0] for f in fed.values() if f):
                assert tree.lookup("map", "arm", int(last * SECOND))[0, 3] == pytest.approx(2.0 * turn)


def test_messages_are_checked():
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
