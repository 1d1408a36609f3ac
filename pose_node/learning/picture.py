"""The onboarding picture: the mesh from three sides with its frame, size and symmetry, to check them at a glance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.learning.mesh import Mesh
from pose_node.learning.shading import picture_axes, shade
from pose_node.learning.similarity import Similarity
from pose_node.learning.similarity_text import fold_axes, motion_text, symmetry_texts
from pose_node.objects.card import ObjectCard

_COLOURS = ("#d62728", "#2ca02c", "#1f77b4")
_SYMMETRY_COLOUR, _CONFUSION_COLOUR = "#b000b0", "#e08a00"
_PIXELS = 420
_MAX_AXES = 13  # drawn: as many as a cube has; of more, those of the highest order
# Each mostly along one axis, tilted so that all three axes are visible.
_SIDES = {"from +x": (1.0, 0.45, 0.4), "from -y": (0.4, -1.0, 0.45), "from +z": (0.3, -0.35, 1.0)}


def draw_onboarding(path: Path, mesh: Mesh, card: ObjectCard, similarity: Similarity) -> None:
    """Write a PNG: three shaded views with the object frame (x red, y green, z blue), and the facts as text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 6.6), dpi=90)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 3, height_ratios=(4.6, 1.25), left=0.01, right=0.99, top=0.89, bottom=0.02, wspace=0.02
    )
    figure.suptitle(f"{card.name}: diameter {1000 * card.diameter_m:.1f} mm", fontsize=15, weight="bold", y=0.985)
    for column, (title, side) in enumerate(_SIDES.items()):
        axes = figure.add_subplot(grid[0, column])
        _draw_side(axes, mesh, card, similarity, np.asarray(side))
        axes.set_title(title, fontsize=10, color="#555555", pad=2)
    facts = figure.add_subplot(grid[1, :])
    facts.axis("off")
    facts.text(0.01, 0.95, _facts(mesh, card), va="top", fontsize=10, family="monospace", linespacing=1.5)
    facts.text(0.40, 0.95, _symmetry_facts(similarity), va="top", fontsize=10, linespacing=1.5, color=_SYMMETRY_COLOUR)
    facts.text(
        0.66, 0.95, _confusion_facts(similarity), va="top", fontsize=10, linespacing=1.5, color=_CONFUSION_COLOUR
    )
    figure.savefig(path, metadata={"Software": None})


def _draw_side(axes: Any, mesh: Mesh, card: ObjectCard, similarity: Similarity, side: Array) -> None:
    project, forward = picture_axes(side)
    length = _nice(0.45 * card.diameter_m)
    box_centre = 0.5 * (mesh.vertices_m.min(axis=0) + mesh.vertices_m.max(axis=0))
    # The picture includes the origin, however far from the object: a wrong one must be visible.
    frame = project @ np.vstack([np.zeros(3), 1.2 * length * np.eye(3)]).T
    reach = 0.56 * card.diameter_m
    body = project @ np.array([box_centre + s * reach * a for a in project for s in (-1, 1)]).T
    both = np.hstack([frame, body])
    centre = 0.5 * (both.min(axis=1) + both.max(axis=1))
    half = 0.53 * float(np.ptp(both, axis=1).max())
    extent = (centre[0] - half, centre[0] + half, centre[1] - half, centre[1] + half)
    grey = shade(mesh.vertices_m, mesh.faces, project, forward, extent, _PIXELS)
    axes.imshow(grey, extent=extent, cmap="gray", vmin=0.0, vmax=1.0, origin="upper")
    for axis in card.symmetry.axes:
        _line(axes, project, axis.origin_m, axis.direction, 0.6 * card.diameter_m, _SYMMETRY_COLOUR, "round")
    for order, point, direction in fold_axes(card.symmetry)[:_MAX_AXES]:
        point = point + ((card.centre_m - point) @ direction) * direction
        _line(axes, project, point, direction, 0.6 * card.diameter_m, _SYMMETRY_COLOUR, f"{order}-fold")
    for axis in similarity.confusion_axes:
        _line(axes, project, axis.origin_m, axis.direction, 0.6 * card.diameter_m, _CONFUSION_COLOUR, "nearly round")
    for i, colour in enumerate(_COLOURS):
        tip = project @ (length * np.eye(3)[i])
        arrow = {"arrowstyle": "-|>", "color": colour, "lw": 2.2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=tip, xytext=(0.0, 0.0), arrowprops=arrow, zorder=5)
        text = f"{'xyz'[i]} {1000 * length:g} mm"
        place = {"ha": "center", "va": "center", "fontsize": 9, "weight": "bold", "color": colour, "zorder": 6}
        axes.text(*(tip * 1.12), text, bbox={"fc": "white", "ec": "none", "alpha": 0.7, "pad": 1}, **place)
    axes.plot(0.0, 0.0, "o", color="black", ms=5, zorder=7)
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    axes.axis("off")


def _line(axes: Any, project: Array, point: Array, direction: Array, reach: float, colour: str, label: str) -> None:
    ends = (project @ np.stack([point - reach * direction, point + reach * direction]).T).T
    axes.plot(*ends.T, "--", color=colour, lw=1.5, zorder=4)
    place = {"ha": "center", "va": "center", "fontsize": 8.5, "zorder": 6, "color": colour}
    axes.text(*ends[0], label, bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1}, **place)


def _nice(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not greater than ``length``."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))


def _facts(mesh: Mesh, card: ObjectCard) -> str:
    low, high = 1000 * mesh.vertices_m.min(axis=0), 1000 * mesh.vertices_m.max(axis=0)
    spans = "\n".join(f"{'xyz'[i]}: {low[i]:8.1f} .. {high[i]:7.1f} mm   ({high[i] - low[i]:.1f} mm)" for i in range(3))
    return f"{spans}\n{len(mesh.faces)} faces; black dot: origin"


def _symmetry_facts(similarity: Similarity) -> str:
    axes = similarity.symmetry.axes
    if len(axes) > 1:
        return "symmetry: a ball"
    texts = symmetry_texts(similarity)[len(axes) :]
    lines = ["any rotation about the dashed axis"] * len(axes) + texts[:4]
    more = [f"and {len(texts) - 4} more"] if len(texts) > 4 else []
    return "\n".join(["symmetry:" if lines else "symmetry: none", *lines, *more])


def _confusion_facts(similarity: Similarity) -> str:
    lines = ["any rotation about the dashed axis"] * len(similarity.confusion_axes)
    lines += [f"{motion_text(m.T)}, {100 * m.overlap:.0f} %" for m in similarity.confusions[:4]]
    more = [f"and {len(similarity.confusions) - 4} more"] if len(similarity.confusions) > 4 else []
    return "\n".join(["may be confused with:" if lines else "confusions: none found", *lines, *more])
