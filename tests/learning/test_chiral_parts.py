"""Chiral parts differ from their mirror images, whatever the rotation."""

import numpy as np
import pytest

pytest.importorskip("trimesh")
import trimesh

from pose_node.learning.chiral_parts import chiral_parts, mirror_gap
from pose_node.learning.mesh_building import finish
from pose_node.learning.shape_kinds.profiles import l_profile


@pytest.mark.parametrize("part, twin", chiral_parts(), ids=lambda s: s.name)
def test_no_rotation_maps_the_mirror_image_onto_the_part(part, twin):
    meshes = [trimesh.Trimesh(s.vertices_m, s.faces) for s in (part, twin)]
    assert all(m.is_watertight and m.is_winding_consistent for m in meshes)
    assert 0 < meshes[0].volume == pytest.approx(meshes[1].volume)
    assert mirror_gap(part, starts=40) > 0.03


def test_a_part_with_a_mirror_plane_has_no_gap():
    assert mirror_gap(finish("l_profile", l_profile(np.random.default_rng(8)), 0.1), starts=80) < 0.03
