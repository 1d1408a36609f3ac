"""The figures in README and docs/measured.md are those of the results, one a cell."""

from __future__ import annotations

import re

import pytest

from benchmarks import figures, readme, table

VALUE = re.compile(r"-?\d[\d.e-]*( (%|ms|s|min|mm|deg|MB|Hz|cores|x))?")


@pytest.fixture(scope="module")
def loaded() -> dict:
    return readme.load()


def test_the_committed_documents_are_those_of_the_results(loaded: dict) -> None:
    assert readme.block(loaded, table.load()) in readme.README.read_text()
    assert readme.PAGE.read_text() == readme.page(loaded)


def test_every_value_is_one_figure_with_its_unit(loaded: dict) -> None:
    for name, (_, rows) in figures.MEASURED.items():
        for row in rows:
            assert VALUE.fullmatch(readme.value(row, loaded, name)), row


def test_what_has_not_been_run_is_named(loaded: dict) -> None:
    text = readme.page({name: content for name, content in loaded.items() if name != "soak"})
    assert "`python -m benchmarks.soak`: not run yet." in text and "| not run yet |" in text


def test_extremes_and_sums() -> None:
    found = {
        "tf_faults": {"lag_2_answered": 1.0, "lag_10_answered": 0.5},
        "motion": {
            "a_plain_spread_mm": 1.0,
            "b_plain_spread_mm": 2.0,
            "a_plain_spread_deg": 0.5,
            "a_plain_flips": 1,
            "a_alone_flips": 9,
        },
    }
    made = figures.derived(found)
    assert made["tf_faults"]["lag_answered"] == 0.5
    assert made["motion"]["spread_mm"] == 2.0 and made["motion"]["flips"] == 1
    assert "flips" not in found["motion"]
