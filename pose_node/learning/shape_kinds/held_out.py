"""Kinds of shapes that training never uses, for held-out views. Benchmarks rely on their order and their seeds."""

from __future__ import annotations

import numpy as np

from pose_node.learning.mesh_building import polycubes, prism, revolve, tube
from pose_node.learning.shape_kinds.placing import moved, together, turn_about


def hexagonal_prism(rng):
    at = 2 * np.pi * np.arange(6) / 6
    return prism(np.stack([np.cos(at), np.sin(at)], 1) * rng.uniform(0.25, 0.7), 1.0)


def pyramid(rng):
    rng.integers(3, 6)  # unused; without this draw each seed would give another pyramid
    sides = int(rng.integers(3, 5))
    at = 2 * np.pi * np.arange(sides) / sides
    return prism(np.stack([np.cos(at), np.sin(at)], 1) * rng.uniform(0.5, 0.9), 1.0, 1e-3)


def star(rng):
    spikes = int(rng.integers(4, 8))
    at = np.pi * np.arange(2 * spikes) / spikes
    r = np.where(np.arange(2 * spikes) % 2 == 0, 1.0, rng.uniform(0.45, 0.75))
    return prism(np.stack([r * np.cos(at), r * np.sin(at)], 1), rng.uniform(0.3, 1.5), rng.uniform(0.6, 1.0))


def wedge(rng):
    vertices, faces = prism(
        np.array([[-0.5, -0.35], [0.6, -0.35], [rng.uniform(-0.5, 0.6), 0.6]]), rng.uniform(0.4, 1.4)
    )
    return vertices, faces


def cross(rng):
    arm = int(rng.integers(1, 3))
    cells = [(i, 0, 0) for i in range(-arm, arm + 1)] + [(0, i, 0) for i in range(-arm, arm + 1)]
    return polycubes(cells + ([(0, 0, 1), (0, 0, -1)] if rng.random() < 0.5 else []), (0.3, 0.3, rng.uniform(0.2, 0.5)))


def stairs(rng):
    cells = [(i, j, 0) for i in range(int(rng.integers(3, 5))) for j in range(i + 1)]
    return polycubes(cells, (0.3, rng.uniform(0.2, 0.35), rng.uniform(0.4, 1.2)))


def dumbbell(rng):
    thin, end = rng.uniform(0.1, 0.2), rng.uniform(0.15, 0.3)
    return revolve([0.4, 0.4, thin, thin, 0.4, 0.4], [0, end, end + 0.01, 1 - end, 1.01 - end, 1.0])


def goblet(rng):
    bowl, stem = rng.uniform(0.25, 0.4), rng.uniform(0.04, 0.08)
    radii = [0.3, 0.3, stem, stem, bowl * 0.7, bowl, bowl * 0.85, bowl * 0.8, bowl * 0.6, 1e-4]
    return revolve(radii, [0, 0.03, 0.08, 0.45, 0.55, 0.75, 1.0, 1.0, 0.6, 0.53])


def propeller(rng):
    """Twisted blades on a hub."""
    blades, wide = int(rng.integers(2, 6)), rng.uniform(0.25, 0.5)
    pitch, at = rng.uniform(0.3, 1.2), 2 * np.pi * np.arange(16) / 16
    parts = [revolve([0.22, 0.22, 0.12], [-0.15, 0.1, rng.uniform(0.15, 0.4)], 24)]
    for blade in range(blades):
        rings = []
        for s in np.linspace(0, 1, 10):
            chord = wide * (0.4 + 1.6 * s * (1.05 - s))
            x, z = 0.5 * chord * np.cos(at), 0.04 * np.sin(at)
            turn = pitch * (1 - 0.6 * s)
            rings.append(
                np.stack(
                    [
                        np.full(16, 0.15 + 0.85 * s),
                        x * np.cos(turn) - z * np.sin(turn),
                        x * np.sin(turn) + z * np.cos(turn),
                    ],
                    1,
                )
            )
        parts.append(moved(tube(np.stack(rings)), turn=turn_about("z", 360.0 * blade / blades)))
    return together(*parts)


def arch(rng):
    r, t = 1.0, rng.uniform(0.15, 0.3)
    wide = rng.uniform(0.3, 0.9)
    vertices, faces = tube(
        np.stack(
            [
                np.array(
                    [
                        [(r - t) * c, wide, (r - t) * s],
                        [(r + t) * c, wide, (r + t) * s],
                        [(r + t) * c, 0, (r + t) * s],
                        [(r - t) * c, 0, (r - t) * s],
                    ]
                )
                for c, s in zip(np.cos(np.linspace(0, np.pi, 20)), np.sin(np.linspace(0, np.pi, 20)))
            ]
        )
    )
    return vertices, faces


KINDS = (hexagonal_prism, pyramid, star, wedge, cross, stairs, dumbbell, goblet, propeller, arch)
