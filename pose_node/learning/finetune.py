"""``pose_node finetune``: an object's bank adapted to measured views of it, kept where held-out views gain.

The backbone stays as it is for all objects, and the chain on the robot too. Learning starts from the backbone's own bank, whatever
bank is in the folder; that one is what a new one is compared with.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pose_node.config import InferConfig
from pose_node.errors import InputError
from pose_node.learning.bank_building import build_bank
from pose_node.learning.bank_tuning import tune
from pose_node.learning.finetune_views import ObservedViews, observations
from pose_node.learning.held_out_figures import Change, changes, measure
from pose_node.learning.mesh import load_mesh
from pose_node.learning.observation import Observation, observed_crop
from pose_node.learning.training_steps import one_thread
from pose_node.measurement.crop import Crop
from pose_node.network.backbone import Backbone
from pose_node.network.object_network import Network
from pose_node.objects.bank import BANK_FILE, Bank, load_bank, save_bank
from pose_node.objects.card import ObjectCard, load_card, save_card
from pose_node.objects.folders import backbone_folder

HELD_OUT_EVERY = 3  # of a recording's groups, one in so many is held out
_HELD_OUT_SHARE = 0.2  # of rendered views, beside those that are learned from


@dataclass(frozen=True)
class FinetuneRecipe:
    """views: rendered to learn from; a fifth as many are held out. seed: of the views and the order of learning."""

    views: int = 1000
    seed: int = 0

    @property
    def steps(self) -> int:
        """Of learning: each centre of a rendered view is drawn about once."""
        return 2 * self.views // 5

    def __post_init__(self) -> None:
        """Raises InputError for fewer than 20 views and for an invalid seed."""
        if self.views < 20:
            raise InputError(f"--views: found {self.views}, expected at least 20.")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed: found {self.seed}, expected 0 to {2**31 - 1}.")


@dataclass(frozen=True, eq=False)
class Finetuned:
    """What came of it. changes: {rendered or recorded: its figures}; counts: the held-out views of each; kept: whether the folder
    has the new bank; reason: why or why not."""

    card: ObjectCard
    changes: Mapping[str, Sequence[Change]]
    counts: Mapping[str, int]
    kept: bool
    reason: str


def finetune(
    folder: str | Path,
    recipe: FinetuneRecipe = FinetuneRecipe(),
    crops: Sequence[Crop] = (),
    recording: str = "",
    workers: int = 2,
) -> Finetuned:
    """Adapt the bank of ``models/<name>``; the folder keeps its bytes unless held-out views gain.

    crops: of the recording named ``recording``, in its order; of their groups, one in ``HELD_OUT_EVERY`` is held out.
    workers: processes that render; 0 renders in this one.
    Raises CardError or ModelError for an incomplete folder or a bank of another backbone, InputError for too few crops and for
    ``workers`` below 0, MeshError for an unreadable mesh.
    """
    if workers < 0:
        raise InputError(f"--workers: found {workers}, expected 0 or more.")
    folder = Path(folder)
    card, config = load_card(folder), InferConfig(provider="cpu", threads=1)
    backbone = Backbone(backbone_folder([folder]), config)
    present = Network(card, backbone, config).bank
    learned, held_out = {}, {}
    recorded, recorded_held_out = _recorded(crops, card, backbone, recording)
    with one_thread():
        for kind, count in ((learned, recipe.views), (held_out, max(10, round(_HELD_OUT_SHARE * recipe.views)))):
            views = ObservedViews(folder, backbone.folder, count, recipe.seed, held_out=kind is held_out)
            kind["rendered"] = list(observations(views, workers))
        if recorded_held_out:
            learned["recorded"], held_out["recorded"] = recorded, recorded_held_out
        first = build_bank(load_mesh(card.mesh_path, units="m"), card.centre_m, backbone, [])
        new = tune(first, card, list(learned.values()), backbone.temperature, recipe.seed, recipe.steps)
    staging = Path(tempfile.mkdtemp(prefix=f".{card.name}.", dir=folder.resolve().parent))
    try:
        save_bank(staging / BANK_FILE, new)
        new = load_bank(staging / BANK_FILE)  # as the robot will read it, rounded
        found = {kind: _compared(present, new, card, backbone, views) for kind, views in held_out.items()}
        kept, reason = _verdict(found)
        if kept:
            record = _record(recipe, recording, learned, held_out, found)
            # Two renames, each atomic: a folder that is read between them has the new bank and no word about it on its card.
            os.replace(staging / BANK_FILE, folder / BANK_FILE)
            card = replace(card, training={**card.training, "finetune": record})
            save_card(card)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Finetuned(card, found, {kind: len(views) for kind, views in held_out.items()}, kept, reason)


def _recorded(
    crops: Sequence[Crop], card: ObjectCard, backbone: Backbone, recording: str
) -> tuple[list[Observation], list[Observation]]:
    """Observations of a recording to learn from, and of the groups held out. Raises InputError where there are too few."""
    if not crops:
        return [], []
    groups = list(dict.fromkeys(crop.group for crop in crops))
    kept_back = set(groups[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY])
    found = [o for o in (observed_crop(crop, card, backbone) for crop in crops) if o is not None]
    learned = [o for o in found if o.group not in kept_back]
    held_out = [o for o in found if o.group in kept_back]
    if len({o.group for o in held_out}) < HELD_OUT_EVERY:
        least = HELD_OUT_EVERY * HELD_OUT_EVERY
        raise InputError(
            f"{recording}: found {card.name} in {len({o.group for o in found})} separate stretches, expected at least {least}, "
            "of which a third is held out."
        )
    return learned, held_out


def _compared(
    present: Bank, new: Bank, card: ObjectCard, backbone: Backbone, views: Sequence[Observation]
) -> list[Change]:
    return changes(*(measure(bank, card, backbone.temperature, views) for bank in (present, new)))


def _verdict(found: Mapping[str, Sequence[Change]]) -> tuple[bool, str]:
    """Whether to keep the new bank, and why: a figure that decides gains beyond noise, and none loses."""
    deciding = [
        (f"{change.name} ({kind})", change) for kind, each in found.items() for change in each if change.decides
    ]
    lost = [name for name, change in deciding if change.loses]
    gained = [name for name, change in deciding if change.gains]
    if lost:
        return False, f"not kept: {', '.join(lost)} would lose by more than noise"
    if not gained:
        return False, "not kept: no figure gains by more than noise"
    return True, f"kept: {', '.join(gained)} gains by more than noise"


def _record(
    recipe: FinetuneRecipe,
    recording: str,
    learned: Mapping[str, Sequence[Observation]],
    held_out: Mapping[str, Sequence[Observation]],
    found: Mapping[str, Sequence[Change]],
) -> dict[str, Any]:
    """What the card says about it."""
    table = {
        kind: {change.name: [round(change.before, 3), round(change.after, 3)] for change in each}
        for kind, each in found.items()
    }
    return {
        **asdict(recipe),
        "recording": recording,
        "learned_views": {kind: len(each) for kind, each in learned.items()},
        "held_out_views": {kind: len(each) for kind, each in held_out.items()},
        "held_out": table,
    }
