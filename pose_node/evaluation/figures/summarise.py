"""The summary of a run with labels: figures of all labels, of each object and of each scene, with intervals by placement.

Average recall (AR) is BOP's: for VSD, MSSD and MSPD the mean recall over their thresholds, ``ar`` the mean of the three
(Hodan et al., "BOP Challenge 2020 on 6D object localization"). Figures have these names only if models and symmetries
are the data set's own. With our own cards, or with symmetries that depth cannot resolve, they are called ``own_ar`` and so on,
as they cannot be compared with published ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.evaluation.figures.consistency import consistency_meaning
from pose_node.evaluation.figures.curves import errors, placement
from pose_node.evaluation.figures.figure import mean_figure, median_figure
from pose_node.evaluation.figures.intervals import resampling_units
from pose_node.evaluation.records import FrameRecord, LabelRecord
from pose_node.evaluation.run_folder import RunInfo

WITHIN = 0.1  # of the diameter
AUC_M = 0.1  # the area under the curve of recall over threshold, up to here (Xiang et al., "PoseCNN", 2018)
FIGURES = {
    "ar": "average recall of BOP: mean of ar_vsd, ar_mssd and ar_mspd",
    "ar_vsd": "average recall of VSD over its tolerances and thresholds",
    "ar_mssd": "average recall of MSSD over thresholds of 5 to 50 % of the diameter",
    "ar_mspd": "average recall of MSPD over thresholds of 5 to 50 pixels in an image 640 wide",
    "recall_mssd_10": "share of labels with MSSD below 10 % of the diameter",
    "recall_add_s_10": "share of labels with ADD(-S) below 10 % of the diameter",
    "recall_add_10": "share of labels with ADD below 10 % of the diameter",
    "recall_adds_10": "share of labels with ADD-S below 10 % of the diameter",
    "auc_add_s": "area under recall over ADD(-S) up to 10 cm",
    "auc_add": "area under recall over ADD up to 10 cm",
    "auc_adds": "area under recall over ADD-S up to 10 cm",
    "answered": "share of labels with an estimate",
    "rotation_deg": "median rotation error up to symmetry of the labels with an estimate, degrees",
    "translation_mm": "median error of the object's centre of the labels with an estimate, millimetres",
    "false_alarms": "estimates per frame that match no label of their object: farther than half a diameter from each, or "
    "more than there are labels",
    "time_s": "mean seconds per frame",
}


def summarise(
    info: RunInfo, frames: Sequence[FrameRecord], labels: Sequence[LabelRecord], seed: int = 0
) -> dict[str, Any]:
    """{"all": entry, "objects": {name: entry}, "scenes": {name: entry}} with entry = {"labels": n, "figures": {key: figure}}
    and figure = {"value", "low", "high"}; low and high are None with fewer than three placements.
    """
    objects = {name: [label for label in labels if label.object_name == name] for name in info.objects}
    scenes = {
        name: [label for label in labels if label.scene == name] for name in dict.fromkeys(f.scene for f in frames)
    }

    def entry(
        of_labels: Sequence[LabelRecord], of_frames: Sequence[FrameRecord], name: str | None = None
    ) -> dict[str, Any]:
        figures = _of_labels(info, of_labels, seed)
        scene_of = [frame.scene for frame in of_frames]
        complete = [frame for frame in of_frames if frame.unmatched is not None]
        if info.counts_false_alarms and complete:
            counts = [
                sum(name in (None, frame.estimates[i].object_name) for i in frame.unmatched or ()) for frame in complete
            ]
            figures["false_alarms"] = mean_figure(np.array(counts, float), [frame.scene for frame in complete], seed)
        if of_frames and name is None:
            figures["time_s"] = mean_figure(
                np.array([frame.time_s for frame in of_frames]), resampling_units(scene_of), seed
            )
        return {"labels": len(of_labels), "figures": figures}

    return {
        "all": entry(labels, frames),
        "objects": {name: entry(labels_of, frames, name) for name, labels_of in objects.items()},
        "scenes": {
            name: entry(labels_of, [f for f in frames if f.scene == name]) for name, labels_of in scenes.items()
        },
    }


def label_values(info: RunInfo, labels: Sequence[LabelRecord]) -> dict[str, Array]:
    """The contribution of each label [N] to the figures that are means over labels."""
    means: dict[str, Array] = {}
    measured = [label for label in labels if label.recall]  # the others are of refused frames
    kinds = [kind for kind in ("vsd", "mssd", "mspd") if all(kind in label.recall for label in measured)]
    recalls = {kind: np.array([label.recall.get(kind, 0.0) for label in labels]) for kind in kinds}
    if len(recalls) == 3:
        means["ar"] = np.mean(list(recalls.values()), axis=0)
    means.update({f"ar_{kind}": values for kind, values in recalls.items()})
    diameters = np.array([info.objects[label.object_name]["diameter_m"] for label in labels], float)
    for key in ("mssd", "add_s", "add", "adds"):
        means[f"recall_{key}_10"] = (errors(labels, f"{key}_rel") < WITHIN).astype(float)
    for key in ("add_s", "add", "adds"):
        means[f"auc_{key}"] = np.clip(1.0 - errors(labels, f"{key}_rel") * diameters / AUC_M, 0.0, 1.0)
    means["answered"] = np.array([label.estimate is not None for label in labels], float)
    return means


def _of_labels(info: RunInfo, labels: Sequence[LabelRecord], seed: int) -> dict[str, Any]:
    if not labels:
        return {}
    placements = [placement(label) for label in labels]
    figures = {key: mean_figure(values, placements, seed) for key, values in label_values(info, labels).items()}
    for key in ("rotation_deg", "translation_mm"):
        values = errors(labels, key)
        if np.isfinite(values).any():
            figures[key] = median_figure(values, placements, seed)
    return figures if info.reference == "set" else {f"own_{key}": figure for key, figure in figures.items()}


def figure_meaning(key: str) -> str:
    """A figure's definition in words; raises KeyError for an unknown figure."""
    if key.startswith("own_"):
        plain = key.removeprefix("own_")
        return FIGURES[plain].replace("of BOP", "as BOP's, but with our own models or symmetries", 1)
    return FIGURES[key] if key in FIGURES else consistency_meaning(key)
