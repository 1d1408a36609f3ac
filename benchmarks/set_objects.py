"""Which sets are measured, which network belongs to which of their objects, and where that network is.

A set's own object name is used where it is a valid card name ("006_mustard_bottle" as mustard_bottle); the others are listed here.
Networks on meshes that are not shipped are outside the repository, one folder a set: ``$POSE_NODE_NETWORKS/<set>/<object>/card.yaml``,
by default in ``networks`` of the benchmarks' cache.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path

from benchmarks import data

SETS = (
    "ycbv",
    "ycbv_demo",
    "ycbv_pseudo",
    "ycb_realsense",
    "icbin",
    "apc_shelf",
    "moveit_can",
    "m3t_bottle",
    "visp_cube",
    "pcl_milk",
    "mosd_primitives",
    "lmo",
    "apc_boxes",
    "stanford_bunny",
)
NAMES = {
    "apc_shelf": {1: "tissue_box"},
    "apc_boxes": {1: "tissue_box", 2: "crayon_box"},
    "moveit_can": {1: "drink_can"},
    "m3t_bottle": {1: "shampoo_bottle"},
    "visp_cube": {1: "cube_42mm"},
    "pcl_milk": {1: "milk_carton"},
    "mosd_primitives": {
        1: "box_a",
        2: "box_b",
        3: "box_c",
        4: "box_d",
        5: "box_e",
        6: "box_f",
        7: "box_g",
        8: "box_h",
        9: "tin",
        10: "red_can",
        11: "chips_tube",
        12: "coffee_tin",
    },
}


def networks_folder() -> Path:
    """Where networks on meshes that are not shipped are kept, one folder a set."""
    given = os.environ.get("POSE_NODE_NETWORKS")
    return Path(given) if given else data.cache_folder() / "networks"


def card_name(set_name: str, object_id: int) -> str:
    """The name on this object's card."""
    return NAMES.get(set_name, {}).get(object_id) or data.names(set_name)[object_id]


@cache
def label_counts(set_name: str) -> dict[int, int]:
    """Object id -> its labels in this set, by id."""
    counts: Counter[int] = Counter()
    folder = data.data_folder() / set_name
    for path in sorted((folder / "scenes").glob("*/scene_gt.json")):
        for labels in json.loads(path.read_text()).values():
            counts.update(entry["obj_id"] for entry in labels)
    if (folder / "gt.json").exists():  # range scans: one object a scan
        counts.update(entry["obj_id"] for entry in json.loads((folder / "gt.json").read_text()).values())
    return dict(sorted(counts.items()))
