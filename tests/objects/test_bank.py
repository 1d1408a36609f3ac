"""bank.npz: what was written is read again, and each kind of damage is one sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.errors import CardError
from pose_node.objects.bank import Bank, load_bank, save_bank

HASH = "0123456789abcdef" * 4


@pytest.fixture
def bank(rng):
    descriptors = rng.normal(size=(300, 32))
    directions = rng.normal(size=(6, 3))
    return Bank(
        (descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)).astype(np.float32),
        rng.uniform(-0.3, 0.3, (300, 3)).astype(np.float32),
        rng.normal(size=(300, 8, 3)).astype(np.float32),
        np.arange(300) // 50,
        (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32),
        HASH,
    )


def refused(path, *words):
    with pytest.raises(CardError) as caught:
        load_bank(path)
    text = str(caught.value)
    assert "\n" not in text and text.startswith(str(path)) and text.endswith("."), text
    for word in words:
        assert word in text, text


def test_a_bank_survives_writing_and_reading(bank, tmp_path):
    save_bank(tmp_path / "bank.npz", bank)
    read = load_bank(tmp_path / "bank.npz")
    for name in ("descriptors", "places", "vectors", "directions"):
        np.testing.assert_allclose(getattr(read, name), getattr(bank, name), atol=3e-3, err_msg=name)
        assert getattr(read, name).dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(read.descriptors, axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(read.views, bank.views)
    assert read.backbone == HASH


def test_the_same_bank_gives_the_same_bytes(bank, tmp_path):
    for name in ("a", "b"):
        save_bank(tmp_path / f"{name}.npz", bank)
    a, b = (load_bank(tmp_path / f"{name}.npz") for name in ("a", "b"))
    assert all(getattr(a, n).tobytes() == getattr(b, n).tobytes() for n in ("descriptors", "places", "vectors"))


def test_a_missing_bank_is_refused(tmp_path):
    refused(tmp_path / "bank.npz", "no such file", "pose_node add-object")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "bank.npz").write_bytes(content)
    refused(tmp_path / "bank.npz", "cannot be read")


def test_a_file_cut_short_is_refused(bank, tmp_path):
    path = tmp_path / "bank.npz"
    save_bank(path, bank)
    path.write_bytes(path.read_bytes()[:-500])
    refused(path, "cannot be read")


def test_missing_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "bank.npz", descriptors=np.zeros((3, 32)))
    refused(tmp_path / "bank.npz", "found arrays", "vectors")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"descriptors": np.ones((300, 16))}, ["descriptors has shape (300, 16)", "(N, 32)"]),
        ({"descriptors": np.ones((300, 32))}, ["length 5.66", "expected 1"]),
        ({"places": np.zeros((299, 3))}, ["300 descriptors and 299 places"]),
        ({"places": np.full((300, 3), 80.0)}, ["diameters from the centre"]),
        ({"places": np.full((300, 3), np.nan)}, ["not finite"]),
        ({"views": np.full(300, 6)}, ["views 6 to 6", "expected 0 to 5"]),
        ({"backbone": "abc"}, ["'abc'", "sha256"]),
    ],
)
def test_invalid_values_are_refused(bank, tmp_path, changes, words):
    save_bank(tmp_path / "bank.npz", replace(bank, **changes))
    refused(tmp_path / "bank.npz", *words)


def test_another_format_is_refused(bank, tmp_path, monkeypatch):
    monkeypatch.setattr("pose_node.objects.bank.BANK_FORMAT", 2)
    save_bank(tmp_path / "bank.npz", bank)
    monkeypatch.undo()
    refused(tmp_path / "bank.npz", "format 2")
