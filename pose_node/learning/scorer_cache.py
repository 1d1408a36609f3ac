"""Cases of the scorer on disk: made once, one file each, so that a stopped run goes on and a training can be repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from pose_node.learning.scorer_cases import Case, Group, Pool, case


def cases(pool: Pool, folder: Path, count: int, seed: int) -> list[Case]:
    """The first ``count`` cases of a pool and seed that show their object, from ``folder`` where they are there, else made now."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for index in tqdm(range(count), desc=folder.name, unit="scene"):
        path = folder / f"{index:06d}.npz"
        if not path.exists():
            part = path.with_suffix(".part.npz")
            np.savez(part, **_arrays(case(pool, seed, index)))
            part.replace(path)
        one = _case(path)
        if one is not None and one.groups:
            found.append(one)
    return found


def _arrays(one: Case | None) -> dict[str, np.ndarray]:
    """A case as plain arrays; none without an object."""
    if one is None:
        return {}
    out = {
        "depth_m": one.depth_m,
        "K": one.K,
        "visible_share": np.array(one.visible_share),
        "noise": np.array(one.noise),
    }
    for i, (indices, source, off_support) in enumerate(one.segments):
        out[f"segment_{i}"], out[f"source_{i}"] = indices, np.array(source)
        if off_support is not None:
            out[f"off_support_{i}"] = off_support
    for i, group in enumerate(one.groups):
        out[f"what_{i}"] = np.array([group.thing, group.segment, group.same])
        for name in ("stretch", "T", "refined", "right"):
            out[f"{name}_{i}"] = getattr(group, name)
    return out


def _case(path: Path) -> Case | None:
    with np.load(path, allow_pickle=False) as data:
        a = dict(data)
    if not a:
        return None
    segments = tuple(
        (a[f"segment_{i}"], str(a[f"source_{i}"]), a.get(f"off_support_{i}"))
        for i in range(sum(name.startswith("segment_") for name in a))
    )
    groups = []
    for i in range(sum(name.startswith("what_") for name in a)):
        thing, segment, same = a[f"what_{i}"]
        poses = (a[f"{name}_{i}"] for name in ("T", "refined", "right"))
        groups.append(Group(int(thing), a[f"stretch_{i}"], int(segment), *poses, bool(same)))
    return Case(a["depth_m"], a["K"], segments, tuple(groups), str(a["noise"]), float(a["visible_share"]))
