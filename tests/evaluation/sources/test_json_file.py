"""JSON files: their value, or one sentence."""

from __future__ import annotations

import pytest

from pose_node.errors import InputError
from pose_node.evaluation.sources.json_file import read_json


def test_a_file_gives_its_value(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": [1]}')
    assert read_json(path, "a file") == {"a": [1]}


@pytest.mark.parametrize(
    ("content", "found"), [(None, "cannot be read"), (b"{", "is not JSON"), (b"\xff", "is not JSON")]
)
def test_an_unreadable_file_is_one_sentence(tmp_path, content, found):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.json: {found} .*expected a camera file\.$"):
        read_json(path, "a camera file")
