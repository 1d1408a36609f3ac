"""Names of objects: valid ones are accepted, others refused with a suggestion."""

from __future__ import annotations

import pytest

from pose_node.errors import CardError
from pose_node.objects.card_values import check_name


@pytest.mark.parametrize("name", ["mug", "mug_2", "a", "mustard_bottle", "m3t"])
def test_names_valid_in_ros_are_accepted(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("Mug", "mug"),
        ("mustard bottle", "mustard_bottle"),
        ("006_mustard_bottle", "mustard_bottle"),
        ("mug__2", "mug_2"),
        ("_mug_", "mug"),
        ("mug-2.stl", "mug_2_stl"),
        ("mug\n", "mug"),
        ("", "object"),
        ("123", "object"),
        ("../mug", "mug"),
    ],
)
def test_other_names_are_refused_with_a_valid_one(name, suggestion):
    with pytest.raises(CardError, match=f"for example '{suggestion}'"):
        check_name(name)
    assert check_name(suggestion) == suggestion
