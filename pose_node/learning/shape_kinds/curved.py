"""Freely curved bodies: bananas, horns, pears, lumps, shoes."""

from __future__ import annotations

import numpy as np

from pose_node.learning.mesh_building import arc, revolve, sweep
from pose_node.learning.shape_kinds.sections import loft, superellipse


def banana(rng):
    """A bent body, thickest near its middle, of a many-sided or round section and with unlike ends."""
    s = np.linspace(0, 1, 26)
    path = arc(1.0, 0, rng.uniform(0.6, 2.2), 26)
    path[:, 2] = rng.uniform(-0.2, 0.2) * s**2
    thick = rng.uniform(0.12, 0.3) * np.sin(np.pi * s) ** rng.uniform(0.3, 0.8) + 0.01
    stalk = rng.uniform(0.02, 0.05)
    thick[: int(rng.integers(1, 5))] = stalk
    return sweep(path, thick, int(rng.choice([5, 6, 18, 18])), flat=rng.uniform(0.6, 1.0))


def horn(rng):
    """A tapered body along a curve that leaves its plane."""
    s = np.linspace(0, 1, 30)
    turn = rng.uniform(1.0, 4.5) * s
    grow = 1 - rng.uniform(0.2, 0.6) * s
    path = np.stack([grow * np.cos(turn), grow * np.sin(turn), rng.uniform(0.0, 0.8) * s], 1)
    return sweep(path, np.linspace(rng.uniform(0.2, 0.4), rng.uniform(0.03, 0.12), 30), 18, flat=rng.uniform(0.6, 1.0))


def pear(rng):
    """A round body of free outline, sheared and flattened: pears, bulbs, eggs, bowling pins."""
    at = np.linspace(0.02, np.pi - 0.02, 24)
    a, b = rng.uniform(-0.35, 0.35), rng.uniform(-0.2, 0.2)
    r = np.sin(at) * (1 + a * np.cos(at) + b * np.cos(2 * at))
    z = -np.cos(at) * rng.uniform(0.8, 1.8)
    vertices, faces = revolve(r, z, 32)
    vertices = vertices * (1, rng.uniform(0.6, 1.0), 1)
    return vertices + np.outer(vertices[:, 2] ** 2, (rng.uniform(-0.25, 0.25), 0, 0)), faces


def lump(rng):
    """A smooth lump: a sphere whose radius follows some random waves."""
    at = np.linspace(-np.pi / 2 + 0.02, np.pi / 2 - 0.02, 30)
    vertices, faces = revolve(np.cos(at), np.sin(at), 40)
    directions = rng.normal(0, 1, (6, 3)) * rng.uniform(0.8, 2.6, (6, 1))
    waves = np.cos(vertices @ directions.T + rng.uniform(0, 2 * np.pi, 6)) @ (rng.uniform(-1, 1, 6) * 0.12)
    return vertices * (1 + waves)[:, None] * np.exp(rng.uniform(np.log(0.5), 0, 3)), faces


def shoe(rng):
    """A loft whose section's width, height and place change along its length: shoes, mice, toy bodies, handles."""
    s = np.linspace(0, 1, 20)
    stations = np.linspace(0, 1, 5)
    swell = np.sqrt(np.clip(4 * s * (1 - s), 0.02, None))

    def curve(low: float, high: float):
        return np.interp(s, stations, rng.uniform(low, high, 5))

    wide, tall = curve(0.25, 0.6) * swell, curve(0.15, 0.6) * swell
    smooth = np.ones(5) / 5
    wide, tall, aside = (np.convolve(np.pad(c, 2, "edge"), smooth, "valid") for c in (wide, tall, curve(-0.12, 0.12)))
    power = rng.uniform(2, 4)
    sections = [
        superellipse(h, w, power, 28) + np.array((h / 2, y)) for w, h, y in zip(wide, tall, aside)
    ]  # flat below
    return loft(sections, 1.3 * s)


KINDS = (banana, horn, pear, lump, shoe)
