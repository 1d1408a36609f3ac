"""The digest of an object folder changes with what it holds."""

from __future__ import annotations

from pose_node.objects.digest import folder_digest


def test_the_digest_of_a_folder_depends_on_its_files_names_and_contents_alone(tmp_path):
    mug = tmp_path / "mug"
    mug.mkdir()
    (mug / "pose.onnx").touch()
    (mug / "card.yaml").write_text("diameter_m: 0.1")
    before = folder_digest(mug)
    (mug / "card.yaml").write_text("diameter_m: 0.1")
    (mug / ".card.yaml.swp").write_text("an editor's")
    (mug / "notes").mkdir()
    assert folder_digest(mug) == before, "written again, and beside the files"
    (mug / "card.yaml").write_text("diameter_m: 0.2")
    changed = folder_digest(mug)
    (mug / "pose.onnx").rename(mug / "bank.npz")
    assert len({before, changed, folder_digest(mug), folder_digest(mug / "nowhere")}) == 4
