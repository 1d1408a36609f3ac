"""The backbone's card, and its run on a segment of any size."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.config import InferConfig
from pose_node.errors import ModelError
from pose_node.network.backbone import Backbone, read_card
from pose_node.network.input import prepare


def test_it_describes_each_centre_of_segments_of_any_size(tmp_path, backbone_writer, rng):
    backbone_writer(tmp_path)
    backbone = Backbone(tmp_path, InferConfig(provider="cpu"))
    assert backbone.temperature == 0.03
    for count, centres in ((40, 40), (3000, 128)):
        found = backbone.run(prepare(rng.normal(size=(count, 3)) * 0.02 + (0.0, 0.0, 0.7), np.zeros(3), 0.2))
        assert found.descriptors.shape == (centres, 32)
        assert found.vectors.shape == (centres, 8, 3)
        assert found.quality.shape == (centres,)


def test_a_provider_that_fails_is_a_model_error(tmp_path, backbone_writer, rng):
    backbone_writer(tmp_path)
    backbone = Backbone(tmp_path, InferConfig(provider="cpu"))

    class Broken:
        def get_providers(self):
            return ["CPUExecutionProvider"]

        def run(self, *_):
            raise RuntimeError("out of memory")

    backbone.session = Broken()
    with pytest.raises(ModelError, match=r"CPUExecutionProvider failed while running .*out of memory"):
        backbone.run(prepare(rng.normal(size=(100, 3)), np.zeros(3), 0.2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("a: [", "is not YAML"),
        ("- 1", "found no network"),
        ("network: {temperature: 0.1}", "found no network with its sha256"),
        ("network: {sha256: aa}", "temperature is None"),
        ("network: {sha256: aa, temperature: -1.0}", "temperature is -1.0"),
    ],
)
def test_a_bad_card_is_refused_in_one_sentence(tmp_path, text, words):
    if text is not None:
        (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(ModelError, match=words) as caught:
        read_card(tmp_path)
    assert ("\n" not in str(caught.value) and "expected" in str(caught.value)) or "YAML" in str(caught.value)
