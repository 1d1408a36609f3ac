"""How figures are written for a reader: short titles, units, as many digits as mean something, and the interval beside."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

NO_INTERVAL = "[–]"
_WHY = "no interval, for there are fewer than three placements, scenes or stretches of the recording to draw from."


@dataclass(frozen=True)
class Wording:
    """A figure's column title, its unit, what its value is multiplied by, whether more of it is better, whether tables of many
    rows have a column for it, and whether it is a largest value, which has no interval by its nature."""

    title: str
    unit: str = "%"
    factor: float = 100.0
    digits: int = 1
    more_is_better: bool = True
    chief: bool = True
    largest: bool = False


_KNOWN = {
    "ar": Wording("AR"),
    "ar_vsd": Wording("AR VSD"),
    "ar_mssd": Wording("AR MSSD"),
    "ar_mspd": Wording("AR MSPD"),
    "recall_mssd_10": Wording("MSSD < 10 %"),
    "recall_add_s_10": Wording("ADD(-S) < 10 %"),
    "recall_add_10": Wording("ADD < 10 %", chief=False),
    "recall_adds_10": Wording("ADD-S < 10 %", chief=False),
    "auc_add_s": Wording("AUC ADD(-S)"),
    "auc_add": Wording("AUC ADD", chief=False),
    "auc_adds": Wording("AUC ADD-S", chief=False),
    "answered": Wording("answered"),
    "rotation_deg": Wording("rotation", "°", 1.0, 2, False),
    "translation_mm": Wording("translation", "mm", 1.0, 2, False),
    "false_alarms": Wording("false alarms", "a frame", 1.0, 2, False),
    "time_s": Wording("time", "s", 1.0, 3, False),
    "found": Wording("found"),
    "score": Wording("score", "", 1.0, 3),
    "spread_mm": Wording("spread", "mm", 1.0, 2, False),
    "spread_deg": Wording("spread, turned", "°", 1.0, 2, False),
    "jitter_mm": Wording("jitter", "mm", 1.0, 2, False),
    "jitter_deg": Wording("jitter, turned", "°", 1.0, 2, False),
    "flips": Wording("flips", more_is_better=False),
    "lost": Wording("lost", more_is_better=False),
    "found_again": Wording("found again"),
    "track_losses": Wording("tracks lost", "times", 1.0, 2, False, chief=False),
    "track_flips": Wording("flips of tracks", "times", 1.0, 2, False, chief=False),
    "track_farthest_mm": Wording("farthest of a track", "mm", 1.0, 2, False, chief=False, largest=True),
    "track_farthest_deg": Wording("farthest of a track, turned", "°", 1.0, 2, False, chief=False, largest=True),
    "track_spread_mm": Wording("spread of tracks", "mm", 1.0, 2, False, chief=False),
    "track_spread_deg": Wording("spread of tracks, turned", "°", 1.0, 2, False, chief=False),
}


def wording(key: str) -> Wording:
    """How a key of ``summary.json`` is written; one that nobody gave words to stands under its own name, as it is."""
    if key.startswith("own_") and key[4:] in _KNOWN:
        known = _KNOWN[key[4:]]
        # AR is BOP's word for errors of the set's own models; the other figures are nobody's by their names.
        return replace(known, title=f"own {known.title}") if known.title.startswith("AR") else known
    if key.startswith("stage_"):
        return Wording(key.removeprefix("stage_").removesuffix("_s"), "ms", 1000.0, 1, False, chief=False)
    if key.startswith("rejected_"):
        return Wording(key.removeprefix("rejected_"), "a frame", 1.0, 2, False, chief=False)
    return _KNOWN.get(key, Wording(key.replace("_", " "), "", 1.0, 3))


def chief_keys(entries: Iterable[Collection[str]]) -> list[str]:
    """The keys that tables of many rows have a column for, in the order of the fullest entry."""
    keys = dict.fromkeys(key for entry in sorted(entries, key=len, reverse=True) for key in entry)
    return [key for key in keys if wording(key).chief]


def value(key: str, figure: Mapping[str, Any] | None) -> str:
    """'95.2', without the unit; a dash where there is none."""
    if figure is None or figure["value"] is None:
        return "–"
    word = wording(key)
    return f"{word.factor * figure['value']:.{word.digits}f}"


def interval(key: str, figure: Mapping[str, Any] | None) -> str:
    """'[88.1, 99.0]'; a dash in brackets where a figure has none, empty where there is no figure and for a largest value."""
    word = wording(key)
    if figure is None or figure["value"] is None or word.largest:
        return ""
    low, high = (float("nan") if v is None else word.factor * v for v in (figure["low"], figure["high"]))
    return bracket(low, high, word.digits)


def bracket(low: float, high: float, digits: int, sign: str = "") -> str:
    """'[88.1, 99.0]', with ``sign`` '+' '[-0.3, +1.2]'; a dash in brackets where there is no interval."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NO_INTERVAL
    return f"[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def footnote(text: str) -> str:
    """Why some figure in a text has no interval; nothing where each has one."""
    return f"{NO_INTERVAL}: {_WHY}" if NO_INTERVAL in text else ""


def heading(key: str) -> str:
    """Title and unit: 'rotation, °'."""
    word = wording(key)
    return f"{word.title}, {word.unit}" if word.unit and word.unit not in word.title else word.title
