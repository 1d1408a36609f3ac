"""How figures are written: short titles, units, significant digits, and the interval beside the value."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

NO_INTERVAL = "[–]"
_WHY = "no interval: it needs at least three placements, scenes or parts of the recording."


@dataclass(frozen=True)
class Format:
    """How one figure is written.

    factor:         the value in ``summary.json`` times this is in ``unit``.
    in_overview:    tables of objects and scenes have a column for it.
    is_maximum:     a largest value, for which no interval is computed.
    """

    title: str
    unit: str = "%"
    factor: float = 100.0
    digits: int = 1
    more_is_better: bool = True
    in_overview: bool = True
    is_maximum: bool = False


_KNOWN = {
    "ar": Format("AR"),
    "ar_vsd": Format("AR VSD"),
    "ar_mssd": Format("AR MSSD"),
    "ar_mspd": Format("AR MSPD"),
    "recall_mssd_10": Format("MSSD < 10 %"),
    "recall_add_s_10": Format("ADD(-S) < 10 %"),
    "recall_add_10": Format("ADD < 10 %", in_overview=False),
    "recall_adds_10": Format("ADD-S < 10 %", in_overview=False),
    "auc_add_s": Format("AUC ADD(-S)"),
    "auc_add": Format("AUC ADD", in_overview=False),
    "auc_adds": Format("AUC ADD-S", in_overview=False),
    "answered": Format("estimated"),
    "rotation_deg": Format("rotation", "°", 1.0, 2, False),
    "translation_mm": Format("translation", "mm", 1.0, 2, False),
    "false_alarms": Format("false alarms", "per frame", 1.0, 2, False),
    "time_s": Format("time", "s", 1.0, 3, False),
    "found": Format("found"),
    "score": Format("score", "", 1.0, 3),
    "spread_mm": Format("spread", "mm", 1.0, 2, False),
    "spread_deg": Format("spread, rotation", "°", 1.0, 2, False),
    "jitter_mm": Format("jitter", "mm", 1.0, 2, False),
    "jitter_deg": Format("jitter, rotation", "°", 1.0, 2, False),
    "flips": Format("flips", more_is_better=False),
    "lost": Format("lost", more_is_better=False),
    "found_again": Format("found again"),
    "track_losses": Format("losses per track", "", 1.0, 2, False, in_overview=False),
    "track_flips": Format("flips per track", "", 1.0, 2, False, in_overview=False),
    "track_farthest_mm": Format(
        "largest deviation of a track", "mm", 1.0, 2, False, in_overview=False, is_maximum=True
    ),
    "track_farthest_deg": Format(
        "largest deviation of a track, rotation", "°", 1.0, 2, False, in_overview=False, is_maximum=True
    ),
    "track_spread_mm": Format("spread of tracks", "mm", 1.0, 2, False, in_overview=False),
    "track_spread_deg": Format("spread of tracks, rotation", "°", 1.0, 2, False, in_overview=False),
}


def format_of(key: str) -> Format:
    """How a key of ``summary.json`` is written; an unknown key is its own title."""
    if key.startswith("own_") and key[4:] in _KNOWN:
        known = _KNOWN[key[4:]]
        # AR is defined by BOP for the errors of the set's own models; the other titles fit any models.
        return replace(known, title=f"own {known.title}") if known.title.startswith("AR") else known
    if key.startswith("stage_"):
        return Format(key.removeprefix("stage_").removesuffix("_s"), "ms", 1000.0, 1, False, in_overview=False)
    if key.startswith("rejected_"):
        return Format(key.removeprefix("rejected_"), "per frame", 1.0, 2, False, in_overview=False)
    return _KNOWN.get(key, Format(key.replace("_", " "), "", 1.0, 3))


def overview_keys(entries: Iterable[Collection[str]]) -> list[str]:
    """The keys with a column in tables of objects and scenes, in the order of the entry that has most."""
    keys = dict.fromkeys(key for entry in sorted(entries, key=len, reverse=True) for key in entry)
    return [key for key in keys if format_of(key).in_overview]


def value(key: str, figure: Mapping[str, Any] | None, unit: bool = False) -> str:
    """'95.2', with ``unit`` '95.2 %'; a dash where the figure is missing."""
    if figure is None or figure["value"] is None:
        return "–"
    form = format_of(key)
    return f"{form.factor * figure['value']:.{form.digits}f} {form.unit if unit else ''}".strip()


def interval(key: str, figure: Mapping[str, Any] | None) -> str:
    """'[88.1, 99.0]'; ``NO_INTERVAL`` where the figure has none; empty where the figure is missing or a maximum."""
    form = format_of(key)
    if figure is None or figure["value"] is None or form.is_maximum:
        return ""
    low, high = (float("nan") if v is None else form.factor * v for v in (figure["low"], figure["high"]))
    return bracket(low, high, form.digits)


def bracket(low: float, high: float, digits: int, sign: str = "") -> str:
    """'[88.1, 99.0]', with ``sign`` '+' '[-0.3, +1.2]'; ``NO_INTERVAL`` where a bound is not finite."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NO_INTERVAL
    return f"[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def footnote(texts: Iterable[str]) -> str:
    """Why a figure among the texts has no interval; empty where each has one."""
    return f"{NO_INTERVAL}: {_WHY}" if any(NO_INTERVAL in text for text in texts) else ""


def column_title(key: str) -> str:
    """Title and unit: 'rotation error, °'."""
    form = format_of(key)
    return f"{form.title}, {form.unit}" if form.unit and form.unit not in form.title else form.title
