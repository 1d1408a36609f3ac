"""Range scans with a ground-truth matrix."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bop_writing import CORNERS_M, FACES, pose, write_ply

from pose_node.errors import InputError
from pose_node.evaluation.sources.scans import Scans


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scenes").mkdir()
    write_ply(tmp_path / "scenes" / "a.ply", 1000 * CORNERS_M, FACES)
    T = pose(0.0)
    T[:3, 3] *= 1000
    entry = {"obj_id": 1, "T_cloud_object": T.ravel().tolist(), "units": "mm"}
    (tmp_path / "gt.json").write_text(json.dumps({"a.ply": entry}))
    (tmp_path / "names.json").write_text('{"1": "box"}')
    return tmp_path


def test_scans_in_metres_seen_from_plus_z(folder):
    source = Scans(folder)
    assert len(source) == 1 and source.names == {1: "box"} and source.labelled == {1: 1}
    (frame,) = source.frames()
    np.testing.assert_allclose(frame.cloud.points_m, CORNERS_M, atol=1e-12)
    assert frame.cloud.viewpoint_m[2] > 4 * 0.1 and frame.cloud.K is None and frame.depth_m is None
    np.testing.assert_allclose(frame.labels[0].T_camera_object, pose(0.0), atol=1e-12)
    with pytest.raises(InputError, match="expected depth images"):
        source.depth("a", "a")


@pytest.mark.parametrize("text", ["", "[]", '{"a.ply": {}}', '{"a.ply": {"obj_id": 1, "T_cloud_object": [1]}}'])
def test_invalid_ground_truth_is_refused(folder, text):
    (folder / "gt.json").write_text(text)
    with pytest.raises(InputError, match="cannot be read"):
        Scans(folder)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b"ply"), "no PLY header"),
        (lambda path: write_ply(path, np.empty((0, 3)), np.empty((0, 3), int)), "expected"),
    ],
)
def test_only_a_scan_that_cannot_be_read_is_refused(folder, break_it, words):
    gt = json.loads((folder / "gt.json").read_text())
    (folder / "gt.json").write_text(json.dumps({**gt, "b.ply": gt["a.ply"]}))
    write_ply(folder / "scenes" / "b.ply", 1000 * CORNERS_M, FACES)
    break_it(folder / "scenes" / "a.ply")
    bad, good = Scans(folder).frames()
    assert bad.cloud is None and len(bad.labels) == 1 and good.refused is None and len(good.cloud) == 8
    assert bad.refused.code == "scan_unreadable" and bad.refused.reason.startswith("scenes/a.ply: ")
    assert words in bad.refused.reason
