"""How figures are written for a reader: short titles, units, as many digits as mean something, and the interval beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Wording:
    """A figure's column title, its unit, what its value is multiplied by, and whether more of it is better."""

    title: str
    unit: str = "%"
    factor: float = 100.0
    digits: int = 1
    more_is_better: bool = True


_KNOWN = {
    "ar": Wording("AR"),
    "ar_vsd": Wording("AR VSD"),
    "ar_mssd": Wording("AR MSSD"),
    "ar_mspd": Wording("AR MSPD"),
    "recall_mssd_10": Wording("MSSD < 10 %"),
    "recall_add_s_10": Wording("ADD(-S) < 10 %"),
    "recall_add_10": Wording("ADD < 10 %"),
    "recall_adds_10": Wording("ADD-S < 10 %"),
    "auc_add_s": Wording("AUC ADD(-S)"),
    "auc_add": Wording("AUC ADD"),
    "auc_adds": Wording("AUC ADD-S"),
    "answered": Wording("answered"),
    "rotation_deg": Wording("rotation", "°", 1.0, 2, False),
    "translation_mm": Wording("translation", "mm", 1.0, 2, False),
    "false_alarms": Wording("false alarms", "a frame", 1.0, 2, False),
    "time_s": Wording("time", "ms", 1000.0, 0, False),
}


def wording(key: str) -> Wording:
    """How a key of ``summary.json`` is written; one that nobody gave words to stands under its own name, as it is."""
    if key.startswith("own_") and key[4:] in _KNOWN:
        known = _KNOWN[key[4:]]
        return Wording(f"own {known.title}", known.unit, known.factor, known.digits, known.more_is_better)
    return _KNOWN.get(key, Wording(key.replace("_", " "), "", 1.0, 3))


def value(key: str, figure: Mapping[str, Any] | None) -> str:
    """'95.2', without the unit; a dash where there is none."""
    if figure is None or figure["value"] is None:
        return "–"
    word = wording(key)
    return f"{word.factor * figure['value']:.{word.digits}f}"


def interval(key: str, figure: Mapping[str, Any] | None) -> str:
    """'[88.1, 99.0]'; empty where there is none."""
    if figure is None or figure["low"] is None or figure["high"] is None:
        return ""
    word = wording(key)
    return f"[{word.factor * figure['low']:.{word.digits}f}, {word.factor * figure['high']:.{word.digits}f}]"


def heading(key: str) -> str:
    """Title and unit: 'rotation, °'."""
    word = wording(key)
    return f"{word.title}, {word.unit}" if word.unit else word.title
