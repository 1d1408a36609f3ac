"""The ideal camera against closed forms."""

import pickle

import numpy as np
import pytest

pytest.importorskip("open3d")
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.learning import render as r
from pose_node.learning.mesh_building import Shape, polycubes, revolve

K = np.array([[570.0, 0.0, 319.5], [0.0, 570.0, 239.5], [0.0, 0.0, 1.0]])
IMAGE = r.Window(0, 0, 640, 480)


def cube(side: float = 0.1) -> Shape:
    vertices, faces = polycubes([(0, 0, 0)], (side, side, side))
    return Shape("cube", vertices - side / 2, faces)


def pose(x: float, y: float, z: float) -> np.ndarray:
    return se3.transform(np.eye(3), np.array([x, y, z]))


def test_a_square_face_has_its_depth_its_size_and_its_cosine():
    side = cube()
    shot = r.render([r.Instance(r.Renderer(side.vertices_m, side.faces), pose(0, 0, 1))], K, IMAGE)
    seen = shot.ids == 0
    assert shot.depth_m[seen] == pytest.approx(0.95, abs=1e-6)
    assert abs(seen.sum() - (0.1 / 0.95 * 570) ** 2) < 4 * 61
    assert shot.cosine[240, 320] == pytest.approx(1.0, abs=1e-5)
    assert (shot.depth_m[~seen] == 0).all() and (shot.ids[~seen] == r.NOTHING).all()


def test_depth_is_along_the_optical_axis_even_far_from_it():
    at = np.linspace(-np.pi / 2 + 1e-3, np.pi / 2 - 1e-3, 200)
    ball = r.Renderer(*(lambda m: (m[0] * 0.05, m[1]))(revolve(np.cos(at), np.sin(at), 300)))
    T = pose(0.3, -0.2, 0.8)
    window = r.sphere_window(T[:3, 3], 0.05, K)
    shot = r.render([r.Instance(ball, T)], K, window)
    points = (r.directions(K, window) * shot.depth_m[..., None])[shot.ids == 0]
    assert np.abs(np.linalg.norm(points - T[:3, 3], axis=1) - 0.05).max() < 1e-4


def test_the_window_of_a_sphere_is_tight_and_complete():
    ball = r.Renderer(
        *(lambda m: (m[0] * 0.05, m[1]))(
            revolve(np.cos(np.linspace(-1.57, 1.57, 60)), np.sin(np.linspace(-1.57, 1.57, 60)))
        )
    )
    T = pose(-0.25, 0.15, 0.6)
    ids = r.render([r.Instance(ball, T)], K, IMAGE).ids == 0
    v, u = np.nonzero(ids)
    w = r.sphere_window(T[:3, 3], 0.05, K)
    assert 0 <= u.min() - w.u0 <= 3 and 0 <= w.u0 + w.width - 1 - u.max() <= 3
    assert 0 <= v.min() - w.v0 <= 3 and 0 <= w.v0 + w.height - 1 - v.max() <= 3


def test_the_nearer_mesh_occludes_the_farther_in_either_order():
    side = cube()
    renderer = r.Renderer(side.vertices_m, side.faces)
    near, far = r.Instance(renderer, pose(0, 0, 0.7)), r.Instance(renderer, pose(0.02, 0, 1.0))
    window = r.Window(250, 170, 140, 140)
    one, two = r.render([near, far], K, window), r.render([far, near], K, window)
    np.testing.assert_array_equal(one.depth_m, two.depth_m)
    assert (one.ids[one.ids >= 0] == 1 - two.ids[two.ids >= 0]).all()
    assert one.ids[70, 70] == 0


def test_scaling_an_instance_is_scaling_its_mesh():
    side = cube()
    T = se3.transform(se3.exp_so3(np.array([0.3, 0.5, 0.1])), np.array([0.05, 0.02, 0.8]))
    window = r.Window(250, 170, 200, 200)
    scaled = r.render([r.Instance(r.Renderer(side.vertices_m, side.faces), T, 1.7)], K, window)
    larger = r.render([r.Instance(r.Renderer(side.vertices_m * 1.7, side.faces), T)], K, window)
    assert (scaled.ids != larger.ids).mean() < 1e-3
    both = (scaled.ids == 0) & (larger.ids == 0)
    np.testing.assert_allclose(scaled.depth_m[both], larger.depth_m[both], atol=1e-5)
    np.testing.assert_allclose(scaled.cosine[both], larger.cosine[both], atol=1e-4)


def test_points_of_the_plane_satisfy_its_equation():
    plane = r.Plane(np.array([0.0, -np.sin(0.6), -np.cos(0.6)]), -0.8)
    window = r.Window(200, 150, 90, 60)
    shot = r.render([], K, window, plane)
    assert (shot.ids == r.PLANE).all()
    points = r.directions(K, window) * shot.depth_m[..., None]
    np.testing.assert_allclose(points @ plane.normal, plane.offset_m, atol=1e-6)


def test_a_stride_renders_every_nth_pixel():
    side = cube()
    instance = r.Instance(r.Renderer(side.vertices_m, side.faces), pose(0.01, 0.03, 0.6))
    window = r.Window(260, 200, 151, 122)
    full, coarse = r.render([instance], K, window), r.render([instance], K, window, stride=5)
    np.testing.assert_array_equal(full.depth_m[::5, ::5], coarse.depth_m)


def test_a_sphere_around_the_camera_is_refused_and_a_renderer_can_be_pickled():
    with pytest.raises(InputError, match="in front of the camera"):
        r.sphere_window(np.array([0.0, 0.0, 0.1]), 0.2, K)
    with pytest.raises(InputError, match="mesh to render"):
        r.Renderer(np.zeros((3, 2)), np.zeros((1, 3), int))
    side = cube()
    copy = pickle.loads(pickle.dumps(r.Renderer(side.vertices_m, side.faces)))
    assert copy.radius_m == pytest.approx(0.05 * np.sqrt(3))
