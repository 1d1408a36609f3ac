"""Which sets are measured, with which sensor, and the object folder of each of their objects.

A set's own object name is used where it is a valid card name ("006_mustard_bottle" as mustard_bottle); the others are listed here.
Folders are made from the set's mesh as ``pose_node add-object`` makes them, outside the repository in the benchmarks' cache, and
again when the mesh or the search for symmetries has changed; their banks when the backbone is another.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import cache
from pathlib import Path

import yaml

from benchmarks import data, rows
from pose_node.config import PipelineConfig, SensorConfig
from pose_node.errors import CardError
from pose_node.objects.bank import BANK_FILE, load_bank
from pose_node.objects.card import CARD_FILE

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
    "pipes_rs",
    "wrs_zivid",
    "graspnet_tof",
)
# Preset of ``pose_node.measurement.sensor`` for each set, by its README: SR300 and its like are structured light.
SENSORS = {
    "ycb_realsense": "active_stereo",
    "m3t_bottle": "active_stereo",
    "pipes_rs": "active_stereo",
    "stanford_bunny": "laser",
    "wrs_zivid": "industrial_structured_light",
    "graspnet_tof": "time_of_flight",
}
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
ONBOARDING = ("mesh", "surface", "similarity", "symmetry_search")


def config_of(set_name: str) -> PipelineConfig:
    """The defaults, with the sensor that recorded the set."""
    return PipelineConfig(sensor=SensorConfig(preset=SENSORS.get(set_name, "structured_light")))


def object_folder(set_name: str, object_id: int, bank: bool = True) -> Path:
    """The folder of one object of a set, made on first use; sets with one mesh share it.

    bank: with a bank of the present backbone; the peers need none.
    """
    from pose_node.learning import onboard

    name, mesh = card_name(set_name, object_id), data.model(set_name, object_id).path
    digest = hashlib.sha256(mesh.read_bytes())
    for part in ONBOARDING:
        digest.update(rows.meaning(data.ROOT / "pose_node" / "learning" / f"{part}.py"))
    home = data.cache_folder() / "objects" / digest.hexdigest()[:12]
    folder = home / name
    if not (folder / CARD_FILE).exists():
        onboard.add_object(mesh, name, home, units="mm", bop_id=object_id)
    elif bank and not _is_current(folder / BANK_FILE):
        onboard.renew(folder)
    return folder


def _is_current(bank: Path) -> bool:
    """Whether a bank is there, and of the present backbone."""
    try:
        return load_bank(bank).backbone == _backbone()
    except CardError:
        return False


@cache
def _backbone() -> str:
    card = yaml.safe_load((data.ROOT / "models" / "backbone" / CARD_FILE).read_text())
    return str(card["network"]["sha256"])


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
