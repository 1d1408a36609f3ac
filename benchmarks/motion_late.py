"""An object that appears while another is tracked, and a wrong first detection: what happens to their tracks.

    python -m benchmarks.motion_late              -> results/motion_late.json (about 6 min)

Rendered as in ``motion``: two objects on a table and the camera on its arc, for 8 s. The second object is there from 2.3 s on.
Stamps jitter by a millisecond. All settings are the defaults, so each detection is used half a second after its frame. At 5, 10
and 30 Hz, with true masks (``masks``) and without (``free``). Each of ``motion``'s objects appears once, next to the one before it.

- found: runs that end with a confirmed track of the second object at its place, of all ``runs``.
- seconds: from its first frame to the first with this confirmed track, median and longest of the runs in ``found``.
- wrong: frames with a confirmed track at a wrong place, of all frames. A place is right within a tenth of the diameter.

``demo``: real frames (ycbv_demo, scene 000002, five in a loop, a static camera, 5 Hz, 25 s, all shipped objects, no masks), in
which the first detection finds the mustard bottle where a wood block is. wrong: frames with a confirmed track of the bottle
elsewhere. right: frames with one at its place.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.motion import OBJECTS, SENSOR, SIZE, K, path
from pose_node.arrays import Array
from pose_node.geometry import se3
from pose_node.learning.mesh import load_mesh
from pose_node.learning.render import Instance, Plane, Renderer, Window, render
from pose_node.measurement.cloud import Cloud
from pose_node.objects.card import ObjectCard
from pose_node.pipeline import Pipeline
from pose_node.ros.demo import recording
from pose_node.types import Masks, Result, Track

RATES_HZ = (5.0, 10.0, 30.0)
MASKED = ("masks", "free")
SECONDS, ENTERS_S, JITTER_S = 8.0, 2.3, 0.001
APART_M = 0.13  # of each object from the table's centre
PAIRS = tuple(zip(OBJECTS, OBJECTS[1:] + OBJECTS[:1]))  # first object, second object
PLACE_REL = 0.1
DEMO_SCENE, DEMO_OBJECT, DEMO_S, DEMO_HZ = "000002", "mustard_bottle", 25.0, 5.0


@dataclass(frozen=True, eq=False)
class Frame:
    """depth_m [H, W], ids [H, W] of the objects' rows, when, and from where."""

    depth_m: Any
    ids: Any
    stamp_ns: int
    T_fixed_camera: Array

    def cloud(self) -> Cloud:
        return Cloud.from_depth(self.depth_m.astype(float), K, stamp_ns=self.stamp_ns)


def frames_of(cards: Sequence[ObjectCard], rate_hz: float, seed: int) -> tuple[list[Frame], list[Array]]:
    """The frames of a run, in which the second object is seen from ``ENTERS_S`` on, and where the objects stand."""
    rng = np.random.default_rng([seed, 23])
    bodies, places = [], []
    for card, side in zip(cards, (-APART_M, APART_M)):
        mesh = load_mesh(card.mesh_path, units="m")
        turn = se3.exp_so3(np.array([0.0, 0.0, rng.uniform(0.0, 2.0 * np.pi)]))
        centre = turn @ card.centre_m
        places.append(se3.transform(turn, [side - centre[0], -centre[1], -np.asarray(mesh.vertices_m)[:, 2].min()]))
        bodies.append(Renderer(np.asarray(mesh.vertices_m), np.asarray(mesh.faces)))
    out = []
    for i, (stamp_ns, T) in enumerate(path(rate_hz)[: round(SECONDS * rate_hz)]):
        T_camera_fixed = se3.invert(T)
        up = T_camera_fixed[:3, 2]
        table = Plane(up, float(up @ T_camera_fixed[:3, 3]))
        present = len(bodies) if i / rate_hz >= ENTERS_S else 1
        standing = [Instance(b, T_camera_fixed @ place) for b, place in zip(bodies[:present], places)]
        shot = render(standing, K, Window(0, 0, *SIZE), table)
        depth = SENSOR.apply(shot.depth_m, shot.ids, shot.cosine, K, np.random.default_rng([seed, 24, i]))
        out.append(Frame(depth, shot.ids, stamp_ns + int(1e9 * JITTER_S * rng.normal()), T))
    return out, places


def right(track: Track, card: ObjectCard, T_fixed_object: Array) -> bool:
    """Whether a track's centre is at the object's."""
    off_m = (track.T_fixed_object - T_fixed_object)[:3] @ np.append(card.centre_m, 1.0)
    return bool(np.linalg.norm(off_m) < PLACE_REL * card.diameter_m)


def run(names: Sequence[str], rate_hz: float, masked: bool, seed: int) -> tuple[float | None, int, int]:
    """Seconds until the second object, the last of ``names``, stays confirmed (None: never); frames with a wrong track; all."""
    pipeline = Pipeline.load([results.ROOT / "models" / name for name in names])
    cards = [pipeline.cards[name] for name in names]
    frames, places = frames_of(cards, rate_hz, seed)
    entered_ns = next(frame.stamp_ns for frame in frames if np.any(frame.ids == len(names) - 1))
    since_ns, wrong = None, 0
    for frame in frames:
        masks = {name: [frame.ids == row] for row, name in enumerate(names) if np.any(frame.ids == row)}
        tracks = pipeline.step(frame.cloud(), frame.T_fixed_camera, masks if masked else None).tracks
        sure = [track for track in tracks if track.state == "confirmed"]
        where = dict(zip(names, places))
        good = {
            track.object_name
            for track in sure
            if right(track, pipeline.cards[track.object_name], where[track.object_name])
        }
        wrong += any(not right(t, pipeline.cards[t.object_name], where[t.object_name]) for t in sure)
        if names[-1] not in good:
            since_ns = None
        elif since_ns is None:
            since_ns = frame.stamp_ns
    return None if since_ns is None else (since_ns - entered_ns) * 1e-9, wrong, len(frames)


def measure(rate_hz: float, way: str) -> dict[str, float]:
    """The figures of one rate, with masks or without."""
    runs = [run(names, rate_hz, way == "masks", seed) for seed, names in enumerate(PAIRS)]
    taken_s = [seconds for seconds, *_ in runs if seconds is not None]
    key = f"{way}_{rate_hz:g}hz"
    return {
        f"{key}_runs": len(runs),
        f"{key}_found": len(taken_s),
        f"{key}_seconds_p50": results.percentile(taken_s, 50),
        f"{key}_seconds_max": max(taken_s, default=float("nan")),
        f"{key}_wrong": sum(wrong for _, wrong, _ in runs) / sum(count for *_, count in runs),
    }


def demo() -> dict[str, float]:
    """The tracks of the bottle in the demo's frames."""
    folders = sorted(card.parent for card in (results.ROOT / "models").glob("*/card.yaml"))
    pipeline = Pipeline.load(folders)
    card = pipeline.cards[DEMO_OBJECT]
    seen = recording.read(DEMO_SCENE)
    clouds = [Cloud.from_depth(frame.depth_m.astype(float), frame.K) for frame in seen]
    truth = next(T for bop_id, T in seen[0].labels if bop_id == card.bop_id)
    known: dict[bytes, Result] = {}
    estimate = pipeline.estimate

    def once(cloud: Cloud, masks: Masks | None = None, objects: Any = None) -> Result:
        """The same frame again gives the same estimates."""
        key = cloud.points_m[::97].tobytes()
        if key not in known:
            known[key] = estimate(cloud, masks, objects=objects)
        return known[key]

    pipeline.estimate = once  # type: ignore[method-assign,assignment]
    flags = []
    for i in range(round(DEMO_S * DEMO_HZ)):
        stamped = replace(clouds[i % len(clouds)], stamp_ns=10**12 + round(i * 1e9 / DEMO_HZ))
        tracks = pipeline.step(stamped, np.eye(4)).tracks
        where = [right(t, card, truth) for t in tracks if t.object_name == DEMO_OBJECT and t.state == "confirmed"]
        flags.append((False in where, True in where))
    return {
        "demo_frames": len(flags),
        "demo_wrong": results.share([wrong for wrong, _ in flags]),
        "demo_right": results.share([good for _, good in flags]),
        "demo_wrong_last_s": float(max((i for i, (wrong, _) in enumerate(flags) if wrong), default=0) / DEMO_HZ),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES_HZ), help="frames a second")
    parser.add_argument("--ways", nargs="+", default=list(MASKED), choices=MASKED)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    figures: dict[str, float] = {}
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        running = [pool.submit(measure, rate, way) for way in options.ways for rate in options.rates]
        for one in [*running, pool.submit(demo)]:
            figures.update(one.result())
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if (options.rates, options.ways) == (list(RATES_HZ), list(MASKED)):
        results.write_result("motion_late", "python -m benchmarks.motion_late", figures, options.output)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
