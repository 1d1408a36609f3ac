"""Small run folders for tests: possible results of a pipeline for two objects, from seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pose_node.evaluation.figures.consistency import consistency_summary
from pose_node.evaluation.figures.sightings import sightings
from pose_node.evaluation.figures.summarise import summarise
from pose_node.evaluation.figures.track_figures import track_figures
from pose_node.evaluation.records import Errors, EstimateRecord, FrameRecord, LabelRecord, TrackRecord
from pose_node.evaluation.report.pictures import PictureInputs
from pose_node.evaluation.run_folder import RunInfo, RunWriter
from pose_node.geometry import se3
from pose_node.geometry.symmetry import Symmetry
from pose_node.objects.card import load_card

MODELS = Path(__file__).resolve().parents[2] / "models"
OBJECTS = ("bowl", "mug")
STAGES = {"segment": 0.01, "infer": 0.05, "refine": 0.1}


def info(objects=OBJECTS, kind="bop", reference="set", **changes) -> RunInfo:
    sizes = {name: {"diameter_m": 0.1, "bop_id": i + 1} for i, name in enumerate(objects)}
    config = {"refine": {"iterations": 10}}
    made = RunInfo("somewhere/set_of_tests", kind, sizes, "none", config, "0.1.0", "CPUExecutionProvider", reference)
    return replace(made, **changes)


def label_of(name, error, scene="000001", frame="000000", instance=0, estimate=0, score=0.9) -> LabelRecord:
    """A label whose every error is ``error`` (diameters, or 100 times that in pixels, degrees and mm); None: not found."""
    T = se3.transform(np.eye(3), [0.0, 0.0, 0.5])
    if error is None:
        return LabelRecord(scene, frame, name, instance, T, 0.9, recall={"vsd": 0.0, "mssd": 0.0, "mspd": 0.0})
    large = 100.0 * error
    errors = Errors((error,) * 10, error, large, error, error / 2, error, large, large)
    share = float(np.mean(error < np.arange(0.05, 0.51, 0.05)))
    recall = {"vsd": share, "mssd": share, "mspd": share}
    return LabelRecord(scene, frame, name, instance, T, 0.9, estimate, score, errors, recall)


def estimate_of(name, score, T=None) -> EstimateRecord:
    return EstimateRecord(name, np.eye(4) if T is None else T, score, np.eye(6))


def write_labelled(folder: Path, seed=0, spoilt=0.15, scenes=4, frames=5, objects=OBJECTS, slow=1.0, **changes) -> Path:
    """Every object in every frame; a share ``spoilt`` is found wrongly or not at all; scores follow the errors loosely.

    Errors of one seed are the same for any ``spoilt``, but where that spoils them.
    """
    rng = np.random.default_rng(seed)
    head = info(objects, **changes)
    records, labels = [], []
    for s in range(scenes):
        for f in range(frames):
            scene, frame = f"{s + 1:06d}", f"{f:06d}"
            estimates = []
            for name in objects:
                error, draw, wobble = 0.03 * rng.random(), rng.random(), rng.normal(0.0, 0.1)
                if draw < spoilt / 3:
                    labels.append(label_of(name, None, scene, frame))
                    continue
                error = 0.3 + error if draw < spoilt else error
                score = float(np.clip((0.4 if draw < spoilt else 0.8) + wobble, 0.0, 1.0))
                labels.append(label_of(name, error, scene, frame, estimate=len(estimates), score=score))
                estimates.append(estimate_of(name, score, labels[-1].T_camera_object))
            stages = {stage: slow * s * (1 + 0.2 * rng.random()) for stage, s in STAGES.items()}
            rejected = {"low_score": int(rng.integers(0, 3))}
            records.append(
                FrameRecord(scene, frame, 0, None, stages, sum(stages.values()), rejected, 0, tuple(estimates))
            )
    with RunWriter(folder, head) as writer:
        for record in records:
            writer.frame(record)
        for label in labels:
            writer.label(label)
        writer.summary(summarise(head, records, labels))
    return folder


def write_unlabelled(folder: Path, seed=0, frames=60, moving=True, objects=OBJECTS) -> Path:
    """One scene without labels: static objects, measured with noise by a moving camera; some frames have no estimates."""
    rng = np.random.default_rng(seed)
    records = []
    with RunWriter(folder, info(objects, "bag", "")) as writer:
        for f in range(frames):
            T_fixed_camera = se3.transform(se3.exp_so3(np.array([0.0, 0.01 * f, 0.0])), [0.005 * f, 0.0, 0.0])
            estimates = []
            for k, name in enumerate(objects):
                T = se3.transform(
                    se3.exp_so3(rng.normal(0.0, 0.02, 3)), np.array([0.1 * k, 0.0, 0.8]) + rng.normal(0.0, 0.002, 3)
                )
                if rng.random() > 0.1:
                    estimates.append(estimate_of(name, rng.uniform(0.5, 1.0), se3.invert(T_fixed_camera) @ T))
            records.append(
                FrameRecord(
                    "bag",
                    f"{f:06d}",
                    f * 100_000_000,
                    T_fixed_camera if moving else None,
                    dict(STAGES),
                    0.16,
                    {} if estimates else {"no_segments": 1},
                    f % 2,
                    tuple(estimates),
                )
            )
            writer.frame(records[-1])
        cards = {name: load_card(MODELS / name) for name in objects}
        seen = sightings(records, cards)
        for sighting in seen:
            writer.sighting(sighting)
        writer.summary(consistency_summary(records, seen, objects))
    return folder


HIDDEN = range(20, 30)  # frames of 60 in which the mug of ``write_tracked`` is lost
WHY_HIDDEN = "hidden: mug: something nearer stands before where it is expected."


def tracks_of(frame: int, others: int = 0) -> tuple[TrackRecord, ...]:
    """Of one of 60 frames: a bowl that nothing moves and whose turn about z is unknown, a mug that sways by 1 mm and 2 degrees
    and is lost for a while, an alarm in two frames, and ``others``, confirmed in a frame more each than the one before."""
    unknown = np.diag([1e-6] * 3 + [np.radians(0.5) ** 2] * 2 + [np.radians(100.0) ** 2])
    known = np.diag([1e-6, 4e-6, 9e-6] + [np.radians(0.5) ** 2] * 3)
    sway = 1.0 if frame % 2 else -1.0
    swaying = se3.transform(se3.exp_so3(np.radians([0.0, 0.0, 2.0 * sway])), [0.1 + 0.001 * sway, 0.0, 0.8])
    state = "tentative" if frame == 0 else "confirmed"
    lost = frame in HIDDEN
    note = "found again" if frame == HIDDEN.stop else ""
    mug = "lost" if lost else state
    tracks = [
        TrackRecord(1, "bowl", state, se3.transform(np.eye(3), [0.0, 0.0, 0.8]), unknown, True, 0.8),
        TrackRecord(2, "mug", mug, swaying, known, not lost, 0.7, WHY_HIDDEN if lost else "", note),
    ]
    if frame in (40, 41):
        tracks.append(TrackRecord(3, "mug", "tentative", np.eye(4), known, frame == 40, 0.5))
    tracks += [
        TrackRecord(4 + k, "bowl", "confirmed", swaying, known, True, 0.6) for k in range(others) if frame <= k + 1
    ]
    return tuple(tracks)


def write_tracked(folder: Path, labelled=False, others=0, scenes=("bag",), frames=60) -> Path:
    """``frames`` at 10 Hz of ``tracks_of`` in each scene, labelled or not."""
    records = [
        FrameRecord(scene, f"{f:06d}", f * 100_000_000, np.eye(4), dict(STAGES), 0.16, tracks=tracks_of(f, others))
        for scene in scenes
        for f in range(frames)
    ]
    labels = [label_of("mug", None, record.scene, record.frame) for record in records] if labelled else []
    head = info(kind="bag", reference="card" if labelled else "")
    with RunWriter(folder, head) as writer:
        for record in records:
            writer.frame(record)
        for label in labels:
            writer.label(label)
        summary = summarise(head, records, labels) if labelled else consistency_summary(records, [], OBJECTS)
        summary["all"]["figures"].update(track_figures(records))
        writer.summary(summary)
    return folder


def write_false_alarms(folder: Path) -> Path:
    """A run of one placement that is right, and of estimates beside it that belong to no label, in two scenes."""
    true = se3.transform(np.eye(3), [0.0, 0.0, 0.5])
    wrong = se3.transform(np.eye(3), [0.08, 0.0, 0.5])
    with RunWriter(folder, info()) as writer:
        for scene, frame, score in (("1", "000000", 0.6), ("1", "000001", 0.7), ("2", "000000", 0.5)):
            seen = (estimate_of("mug", 0.9, true), estimate_of("bowl", score, wrong), estimate_of("mug", 0.3, wrong))
            writer.frame(FrameRecord(scene, frame, 0, None, {}, 0.1, estimates=seen, unmatched=(1, 2)))
            writer.label(label_of("mug", 0.01, scene, frame))
    return folder


def picture_inputs() -> PictureInputs:
    """A wall at 0.6 m in every frame, and a piece of pipe for every object."""
    K = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])
    turned = np.linspace(0, 2 * np.pi, 400)
    normals = np.stack([np.cos(turned), np.sin(turned), np.zeros(400)], axis=1)
    points = 0.05 * normals + np.linspace(-0.05, 0.05, 400)[:, None] * [0, 0, 1]
    none = Symmetry(np.eye(4)[None])
    return PictureInputs(
        lambda scene, frame: (np.full((240, 320), 0.6), K), lambda name: (points, normals), lambda name: none
    )
