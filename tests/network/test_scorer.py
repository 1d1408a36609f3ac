"""The scorer's file: it answers for any number of poses and samples, and a bad one is one sentence at load."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest
import yaml

from pose_node.config import InferConfig
from pose_node.errors import ModelError
from pose_node.network.scorer import SCORER_FILE, Scorer
from pose_node.pose.invariants import CONTEXT_CHANNELS, POINT_CHANNELS, SAMPLE_CHANNELS


def inputs(poses, samples, points, centres):
    rng = np.random.default_rng(0)
    shapes = (
        (poses, samples, len(SAMPLE_CHANNELS)),
        (poses, samples),
        (poses, points, len(POINT_CHANNELS)),
        (poses, centres, 3),
        (poses, centres),
        (poses, len(CONTEXT_CHANNELS)),
    )
    return [rng.random(shape, dtype=np.float32) / max(shape[1], 1) for shape in shapes]


def test_any_number_of_poses_samples_points_and_centres(scorer):
    for sizes in ((1, 1, 1, 1), (3, 40, 20, 64)):
        found = scorer.log_odds(inputs(*sizes))
        assert found.shape == (sizes[0],) and found.dtype == np.float64 and np.isfinite(found).all()


def test_poses_do_not_depend_on_each_other(scorer):
    whole = inputs(4, 30, 20, 8)
    one = scorer.log_odds([each[2:3] for each in whole])
    assert scorer.log_odds(whole)[2] == pytest.approx(one[0], abs=1e-5)


@pytest.fixture
def folder(repository, tmp_path):
    shutil.copytree(repository / "models" / "scorer", tmp_path / "scorer")
    return tmp_path / "scorer"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "card.yaml").unlink(), "expected the scorer's card"),
        (lambda f: (f / "card.yaml").write_text("a: [1"), "is not YAML"),
        (lambda f: (f / "card.yaml").write_text("format: 1"), "found no network"),
        (lambda f: (f / SCORER_FILE).unlink(), "cannot be read"),
        (lambda f: (f / SCORER_FILE).write_bytes(b"no network"), "as on the card"),
    ],
)
def test_a_missing_or_damaged_scorer_is_refused_in_one_sentence(folder, damage, words):
    damage(folder)
    with pytest.raises(ModelError, match=words) as error:
        Scorer(folder, InferConfig())
    assert "\n" not in str(error.value)


def test_a_foreign_network_is_refused(repository, folder):
    content = (repository / "models" / "backbone" / "backbone.onnx").read_bytes()
    (folder / SCORER_FILE).write_bytes(content)
    card = {"network": {"sha256": hashlib.sha256(content).hexdigest()}}
    (folder / "card.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(ModelError, match="expected"):
        Scorer(folder, InferConfig())
