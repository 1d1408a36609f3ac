"""The drawing, read back from the file that a viewer would show."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rerun", reason="the viewing side is not installed")

from reading import column, entities
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.measurement.cloud import Cloud
from pose_node.types import Track
from pose_node.viewing.canvas import Canvas, Shown, open_viewer

pytestmark = pytest.mark.filterwarnings("error")
SECOND = 1_000_000_000
VERTICES = np.array([[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]])
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def pose(seed: int = 0) -> np.ndarray:
    return se3.transform(Rotation.random(random_state=seed).as_matrix(), np.array([0.1, 0.2, 0.3 + seed]))


def shown(name: str = "mug_1", **more) -> Shown:
    return Shown(name, "mug", pose(), 1e-6 * np.eye(6), 0.8, **more)


@pytest.fixture
def drawn(tmp_path):
    """Draw with a function, and read the file back."""

    def draw(function) -> object:
        path = tmp_path / "a.rrd"
        recording = open_viewer(path)
        function(Canvas(lambda name: (VERTICES, TRIANGLES), False, recording))
        recording.disconnect()
        return path

    return draw


def test_an_object_stands_at_its_pose_under_its_own_name(drawn):
    path = drawn(lambda canvas: canvas.objects(5 * SECOND, [shown()]))
    (translation,) = column(path, "/fixed/objects/mug_1", "Translation3D")[5 * SECOND]
    (quaternion,) = column(path, "/fixed/objects/mug_1", "RotationQuat")[5 * SECOND]
    T = pose()
    np.testing.assert_allclose(translation, T[:3, 3], atol=1e-6)
    np.testing.assert_allclose(Rotation.from_quat(quaternion).as_matrix(), T[:3, :3], atol=1e-6)
    vertices = column(path, "/fixed/objects/mug_1/mesh", "Position3D")[5 * SECOND]
    np.testing.assert_allclose(vertices, VERTICES, atol=1e-6)
    assert column(path, "/fixed/objects/mug_1/name", "Text")[5 * SECOND] == ["mug_1 0.80"]
    assert column(path, "/score/mug_1", "Scalar")[5 * SECOND] == [0.8]


def test_a_mesh_is_sent_when_its_look_changes_and_no_more(drawn):
    def draw(canvas):
        for second, state in enumerate(("tentative", "confirmed", "confirmed", "lost")):
            canvas.objects(second * SECOND, [shown(state=state, seen=state != "lost")])

    path = drawn(draw)
    colours = column(path, "/fixed/objects/mug_1/mesh", "AlbedoFactor")
    assert list(colours) == [0, SECOND, 3 * SECOND]
    assert len(set(map(str, colours.values()))) == 3
    assert len(column(path, "/fixed/objects/mug_1", "Translation3D")) == 4
    assert list(column(path, "/score/mug_1", "Scalar")) == [0, SECOND, 2 * SECOND], "what is not seen has no new score"


def test_what_is_gone_is_cleared_and_drawn_whole_when_it_comes_back(drawn):
    def draw(canvas):
        for second, objects in enumerate(([shown()], [], [shown()])):
            canvas.objects(second * SECOND, objects)

    path = drawn(draw)
    assert column(path, "/fixed/objects/mug_1", "ClearIsRecursive") == {SECOND: [True]}
    assert list(column(path, "/fixed/objects/mug_1/mesh", "AlbedoFactor")) == [0, 2 * SECOND]


def test_ellipsoids_show_position_at_the_origin_and_the_turn_at_the_tips(drawn):
    sigma_m, sigma_rad = 0.001, 0.01
    covariance = np.diag([sigma_m**2] * 3 + [sigma_rad**2] * 3)
    path = drawn(lambda canvas: canvas.objects(0, [replace(shown(), covariance=covariance)]))
    centres = np.array(column(path, "/fixed/objects/mug_1/covariance", "PoseTranslation3D")[0])
    sizes = np.sort(column(path, "/fixed/objects/mug_1/covariance", "HalfSize3D")[0], axis=1)
    within = np.sqrt(chi2.ppf(0.95, 3))
    np.testing.assert_allclose(sizes[0], within * sigma_m, rtol=1e-5)
    reach = np.linalg.norm(centres[1:], axis=1)
    across = within * np.sqrt(sigma_m**2 + (reach * sigma_rad) ** 2)
    np.testing.assert_allclose(sizes[1:, 0], within * sigma_m, rtol=1e-5)  # along the axis the turn moves nothing
    np.testing.assert_allclose(sizes[1:, 1:], across[:, None].repeat(2, 1), rtol=1e-5)


def test_an_axis_about_which_nothing_is_known_does_not_fill_the_scene(drawn):
    covariance = np.diag([1e-6] * 5 + [1e3])
    path = drawn(lambda canvas: canvas.objects(0, [replace(shown(), covariance=covariance)]))
    assert np.max(column(path, "/fixed/objects/mug_1/covariance", "HalfSize3D")[0]) < 0.1


def test_a_cloud_is_thinned_and_stands_where_its_camera_did(drawn):
    points = np.random.default_rng(0).uniform(0.5, 1.0, (100_000, 3))
    cloud = Cloud.from_points(points, stamp_ns=7 * SECOND)
    path = drawn(lambda canvas: canvas.cloud(cloud, pose(1)))
    kept = np.array(column(path, "/fixed/camera/cloud", "Position3D")[7 * SECOND])
    assert len(kept) == 60_000
    known = {tuple(row) for row in points.astype(np.float32)}
    assert all(tuple(row) in known for row in kept[:100].astype(np.float32))
    (at,) = column(path, "/fixed/camera", "Translation3D")[7 * SECOND]
    np.testing.assert_allclose(at, pose(1)[:3, 3], atol=1e-6)


def test_a_status_is_logged_once(drawn):
    def draw(canvas):
        for second in range(3):
            status = "lost: hidden" if second == 2 else "confirmed"
            canvas.objects(second * SECOND, [shown(state=status.split(":")[0], status=status)])

    path = drawn(draw)
    assert column(path, "/log", "Text") == {0: ["mug_1: confirmed"], 2 * SECOND: ["mug_1: lost: hidden"]}
    assert column(path, "/log", "TextLogLevel") == {0: ["INFO"], 2 * SECOND: ["WARN"]}


def test_a_track_as_it_is_shown():
    track = Track(3, "mug", "lost", pose(), np.eye(6), np.zeros(6), 0.7, 12, reason="hidden: 80% of it is hidden.")
    found = Shown.of(track)
    assert (found.name, found.seen, found.status) == ("mug_3", False, "lost: hidden: 80% of it is hidden.")


def test_nothing_drawn_is_still_a_file_for_the_viewer(drawn):
    assert "/fixed" in entities(drawn(lambda canvas: None))


def no_viewer(self, **options):
    raise RuntimeError("no executable\nand much advice")


def test_without_a_display_or_a_writable_file_viewing_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match=r"no display .* --save"):
        open_viewer(None)
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("rerun.RecordingStream.spawn", no_viewer)
    with pytest.raises(InputError, match=r"viewer did not start \(no executable\)"):
        open_viewer(None)
    assert os.environ["PATH"].startswith(str(Path(sys.executable).parent)), "where the package has put its viewer"
    with pytest.raises(InputError, match=r"--save: .* cannot be written"):
        open_viewer(tmp_path / "nowhere" / "a.rrd")
