"""A view for an object's bank: on the surface, on the side that faces the camera, whatever the direction."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.learning.bank_view import DISTANCE_REL, bank_view
from pose_node.learning.render import Renderer
from pose_node.learning.shapes import held_out

pytestmark = pytest.mark.learning


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0.6, -0.64, 0.48)])
def test_points_lie_on_the_side_towards_the_camera(direction):
    radius_m = 0.05
    angle = np.linspace(0, np.pi, 30)
    ring = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    vertices = radius_m * np.stack(
        [
            np.outer(np.sin(angle), np.cos(ring)),
            np.outer(np.sin(angle), np.sin(ring)),
            np.outer(np.cos(angle), 0 * ring + 1),
        ],
        axis=-1,
    ).reshape(-1, 3)
    at = np.arange(29 * 60).reshape(29, 60)
    right = np.roll(at, -1, axis=1)
    faces = np.concatenate([np.stack([at, right, at + 60], -1), np.stack([right, right + 60, at + 60], -1)]).reshape(
        -1, 3
    )
    direction = np.array(direction, float)
    centre = np.array([0.2, -0.1, 0.03])
    points_m, viewpoint_m = bank_view(Renderer(vertices + centre, faces), centre, 2 * radius_m, direction)
    assert len(points_m) > 2000
    np.testing.assert_allclose(viewpoint_m, centre + DISTANCE_REL * 2 * radius_m * direction, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(points_m - centre, axis=1), radius_m, atol=0.02 * radius_m)
    assert ((points_m - centre) @ direction > -0.01 * radius_m).all()


def test_a_direction_from_which_nothing_is_seen_gives_no_points():
    card = held_out(3)
    renderer = Renderer(card.vertices_m + np.array([10.0, 0.0, 0.0]), card.faces)
    points_m, _ = bank_view(renderer, np.zeros(3), 0.1, np.array([0.0, 0.0, 1.0]))
    assert points_m.shape == (0, 3)
