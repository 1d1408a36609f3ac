"""Pages without the cost of their charts."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def blank_charts(monkeypatch):
    """Charts are empty: drawing those of a page takes longer than the rest of it, and test_svg looks at charts."""
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **_: file.write("<svg><g ></g></svg>"))
