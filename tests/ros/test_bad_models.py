"""Object folders that are not whole: the real node says which file, what was found and what was expected, and does not start."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ros_testing import MODELS, OBJECT, call, node_arguments

from pose_node.objects.bank import load_bank, save_bank


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])


def another_backbone(path):
    bank = load_bank(path)
    save_bank(path, replace(bank, backbone=bank.backbone[::-1]))


DAMAGE = {
    "bank_missing": ("bank.npz", lambda path: path.unlink(), "found no bank.npz"),
    "bank_cut": ("bank.npz", cut, "bank.npz: cannot be read"),
    "bank_of_another_backbone": ("bank.npz", another_backbone, "bank.npz: made by backbone"),
    "card_missing": ("card.yaml", lambda path: path.unlink(), "objects: found 'mustard_bottle', expected one of"),
    "card_cut": ("card.yaml", cut, "card.yaml"),
    "surface_missing": ("surface.npz", lambda path: path.unlink(), "surface.npz"),
    "surface_cut": ("surface.npz", cut, "surface.npz"),
    "mesh_missing": ("mesh.ply", lambda path: path.unlink(), "mesh.ply"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_it_is_refused_at_start_in_one_sentence(shipped, start, tmp_path, name):
    file, damage, sentence = DAMAGE[name]
    shutil.copytree(MODELS / OBJECT, tmp_path / "models" / OBJECT)
    damage(tmp_path / "models" / OBJECT / file)
    process = start("pose_node.ros.node", *node_arguments(models=str(tmp_path / "models")))
    assert process.popen.wait(60.0) == 2, process.output()
    assert sentence in process.output()
    assert "Traceback" not in process.output()


def test_a_managed_node_can_be_configured_after_a_failure(shipped, peer, start, tmp_path):
    shutil.copytree(MODELS / OBJECT, tmp_path / "models" / OBJECT)
    network = tmp_path / "models" / OBJECT / "bank.npz"
    network.unlink()
    process = start("pose_node.ros.node", *node_arguments(autostart="false", models=str(tmp_path / "models")))
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    assert not call(peer, ChangeState, "change_state", request, patience_s=10.0).success
    shutil.copy(MODELS / OBJECT / "bank.npz", network)
    assert call(peer, ChangeState, "change_state", request, patience_s=60.0).success
    assert process.end() == 0, process.output()
