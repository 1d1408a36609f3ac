"""What ``benchmarks.gate`` measures: frozen views, the demo's frames, and labelled frames of ``$POSE_NODE_DATA``.

    python -m benchmarks.gate_inputs           renders gate_views.npz again (a minute)

The views are files, not seeds: a change of the renderer or of a sensor model leaves them as they are. They follow the
protocol of ``benchmarks.rendered``, the twelve shipped objects and the three sensor models in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import trange

from benchmarks import data
from benchmarks.crops import ONE_PLACEMENT_A_SCENE
from pose_node.arrays import Array
from pose_node.measurement.cloud import Cloud
from pose_node.objects.card import ObjectCard, load_card
from pose_node.objects.folders import BACKBONE
from pose_node.ros.demo import recording

VIEWS = 200
FIRST_SEED = 710_000  # seeds that neither training nor another benchmark uses
DEPTH_STEP_M = 2e-4  # of the stored depth, which is stored as differences for compression
FILE = Path(__file__).parent / "gate_views.npz"
MASKED_SETS = ("ycbv", "ycbv_pseudo", "ycb_realsense")  # ycbv_demo is shipped: the part "demo"
# Whole frames: two of each of ycbv's scenes, and others with few or no objects.
WHOLE_FRAMES = (
    ("ycbv", ("0:0", "0:-1", "1:0", "1:-1", "2:0", "2:-1")),
    ("ycb_realsense", ("0:0",)),
    ("redkitchen", ("0:0", "0:40", "0:80")),
)


@dataclass(frozen=True, eq=False)
class Case:
    """One call of the pipeline, and its correct answer.

    part: the figures it belongs to. masked_object: the object of the mask, None for a whole frame without masks.
    labels: [(object name, T_camera_object)] in the frame. placement: shared by the frames of one static scene.
    """

    key: str
    part: str
    placement: str
    cloud: Cloud
    labels: tuple[tuple[str, Array], ...]
    masked_object: str | None = None
    mask: Any = None


def objects() -> list[str]:
    """Names of the shipped objects."""
    found = (path.parent.name for path in (data.ROOT / "models").glob("*/card.yaml"))
    return sorted(name for name in found if name != BACKBONE)


def rendered(most: int | None = None) -> Iterator[Case]:
    """The stored views, the first ``most`` of them."""
    with np.load(FILE) as file:
        stored = {key: file[key] for key in file.files}
    ends = np.cumsum(np.prod(stored["shapes"], axis=1))
    steps = np.cumsum(stored["depths"], dtype=np.uint16)
    for i, (name, shape, end) in enumerate(zip(stored["names"][:most], stored["shapes"], ends)):
        pixels = slice(end - np.prod(shape), end)
        depth_m = steps[pixels].reshape(shape).astype(np.float32) * np.float32(DEPTH_STEP_M)
        mask = np.unpackbits(stored["masks"], count=int(ends[-1]))[pixels].reshape(shape).astype(bool)
        key = f"rendered/{i:03d}/{name}/{stored['noises'][i]}"
        cloud = Cloud.from_depth(depth_m, stored["K"][i])
        yield Case(key, "rendered", key, cloud, ((str(name), stored["poses"][i]),), str(name), mask)


def demo(every: int = 1) -> Iterator[Case]:
    """The demo's frames, one in ``every``: each label in its mask, each mask under the name of a similar object, and the whole frame."""
    cards = [_card(name) for name in objects()]
    names, other = {card.bop_id: card.name for card in cards}, _similar_objects(cards)
    for scene in recording.scenes():
        for frame in recording.read(scene)[::every]:
            cloud = Cloud.from_depth(frame.depth_m, frame.K)
            labels = tuple((names[number], T) for number, T in frame.labels)
            place = f"demo/{scene}"
            for i, (name, _) in enumerate(labels):
                mask, where = frame.mask(i), f"{scene}/{frame.number:06d}"
                yield Case(f"demo/{where}/{name}", "demo", f"{place}/{name}", cloud, labels, name, mask)
                yield Case(f"wrong/{where}/{name}", "wrong_name", f"{place}/{name}", cloud, (), other[name], mask)
            yield Case(f"demo_whole/{scene}/{frame.number:06d}", "demo_whole", place, cloud, labels)


def recorded() -> Iterator[Case]:
    """Labels of the shipped objects in ``MASKED_SETS`` in their masks, and ``WHOLE_FRAMES``."""
    known = set(objects())
    for set_name in MASKED_SETS:
        for frame in data.frames(set_name):
            cloud = Cloud.from_depth(frame.depth_m, frame.K)
            labels = tuple((label.name, label.T_camera_object) for label in frame.labels)
            for label in frame.labels:
                if label.name in known:
                    key = f"{frame.key}/{label.name}"
                    scene = f"{set_name}/{frame.scene}" if set_name in ONE_PLACEMENT_A_SCENE else frame.key
                    yield Case(key, "dev", f"{scene}/{label.name}", cloud, labels, label.name, label.mask)
    for set_name, places in WHOLE_FRAMES:
        yield from _whole(set_name, places, known)


def _whole(set_name: str, places: Sequence[str], known: set[str]) -> Iterator[Case]:
    keys = data.bare_keys(set_name)
    scenes = sorted({key.split("/")[0] for key in keys})
    labelled: Mapping[str, data.Frame] = {}
    if any((data.data_folder() / set_name / "scenes" / scene / "scene_gt.json").exists() for scene in scenes):
        labelled = {f"{frame.scene}/{frame.frame}": frame for frame in data.frames(set_name)}
        keys = [key for key in keys if key in labelled]
    for place in places:
        scene, number = map(int, place.split(":"))
        key = [k for k in keys if k.startswith(scenes[scene] + "/")][number]
        frame = labelled[key] if labelled else data.bare_frame(set_name, key)
        labels = tuple((label.name, label.T_camera_object) for label in frame.labels if label.name in known)
        cloud = Cloud.from_depth(frame.depth_m, frame.K)
        yield Case(f"whole/{frame.key}", "dev_whole", f"{set_name}/{frame.scene}", cloud, labels)


def _card(name: str) -> ObjectCard:
    return load_card(data.ROOT / "models" / name)


def _similar_objects(cards: Sequence[ObjectCard]) -> dict[str, str]:
    """For each object the one with the most similar box: under its name the mask should be rejected."""
    sizes = np.log(np.sort([card.surface.box_m[1] - card.surface.box_m[0] for card in cards], axis=1))
    apart = np.abs(sizes[:, None] - sizes).max(axis=2) + np.diag(np.full(len(cards), np.inf))
    return {card.name: cards[int(row.argmin())].name for card, row in zip(cards, apart)}


def main() -> None:
    """Render the views and write ``FILE``."""
    from benchmarks.rendered import measured, sampler

    cards = [_card(name) for name in objects()]
    samplers = [sampler(card) for card in cards]
    views = []
    for i in trange(VIEWS):
        row, column = divmod(i, len(cards))
        # Consecutive seeds cycle through the sensor models.
        view = samplers[column].view(FIRST_SEED + 100 * column + row)
        views.append((cards[column].name, view, measured(view)))
    depths = [np.round(view.depth_m / DEPTH_STEP_M).astype(np.uint16) for _, view, _ in views]
    np.savez_compressed(
        FILE,
        names=np.array([name for name, _, _ in views]),
        noises=np.array([view.noise for _, view, _ in views]),
        shapes=np.array([depth.shape for depth in depths]),
        depths=np.diff(np.concatenate([depth.ravel() for depth in depths]), prepend=np.uint16(0)),
        masks=np.packbits(np.concatenate([mask.ravel() for _, _, (_, mask) in views])),
        K=np.stack([cloud.K for _, _, (cloud, _) in views]),
        poses=np.stack([view.T_camera_object for _, view, _ in views]),
    )


if __name__ == "__main__":
    main()
