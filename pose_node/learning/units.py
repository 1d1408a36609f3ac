"""The unit of a mesh file: the given one, else the one that the file states, else metres if no other unit is plausible."""

from __future__ import annotations

from pathlib import Path

from pose_node.errors import MeshError
from pose_node.objects.card_values import DIAMETER_RANGE_M

UNITS_IN_M = {"m": 1.0, "mm": 0.001, "cm": 0.01, "in": 0.0254}
_LOW_M, _HIGH_M = DIAMETER_RANGE_M


def unit_in_m(path: Path, diameter: float, given: str | None, stated_m: float | None, notes: list[str]) -> float:
    """Metres per unit of a file whose mesh has a diameter of ``diameter`` units; notes for the user are added to ``notes``.

    given: one of ``UNITS_IN_M`` or None. stated_m: the unit that the file states, in metres, or None.
    Raises MeshError, which lists every plausible unit, when the size is implausible or the unit is ambiguous.
    """
    if given is not None and given not in UNITS_IN_M:
        raise MeshError(f"units: found {given!r}, expected one of {', '.join(UNITS_IN_M)}.")
    fitting = [unit for unit, metres in UNITS_IN_M.items() if _LOW_M <= diameter * metres <= _HIGH_M]
    if given is not None:
        scale = UNITS_IN_M[given]
        if given not in fitting:
            found = f"found a diameter of {_size(diameter * scale)} with --units {given}"
            raise MeshError(f"{path}: {found}, {_expected(diameter, fitting)}")
        if stated_m is not None and abs(stated_m / scale - 1.0) > 1e-6:
            notes.append(
                f"units: --units {given} is used (diameter {_size(diameter * scale)}) instead of the unit stated in the file, "
                f"{_name(stated_m)} (diameter {_size(diameter * stated_m)})"
            )
        return scale
    if stated_m is not None:
        if not _LOW_M <= diameter * stated_m <= _HIGH_M:
            found = f"found a diameter of {_size(diameter * stated_m)} in the file's own unit, {_name(stated_m)}"
            raise MeshError(f"{path}: {found}, {_expected(diameter, fitting)}")
        notes.append(f"units: {_name(stated_m)}, as stated in the file (diameter {_size(diameter * stated_m)})")
        return stated_m
    if fitting != ["m"]:
        raise MeshError(f"{path}: found a diameter of {diameter:.4g} and no unit, {_expected(diameter, fitting)}")
    notes.append(f"units: none given, read as metres (diameter {diameter:.4g} m = {1000 * diameter:.4g} mm)")
    return 1.0


def _expected(diameter: float, fitting: list[str]) -> str:
    sizes = ", ".join(_in_unit(diameter, unit) for unit in fitting or UNITS_IN_M)
    plausible = f"expected {_LOW_M:g} to {_HIGH_M:g} m"
    return (
        f"{plausible} ({sizes}): pass --units."
        if fitting
        else f"{plausible}, which no unit gives ({sizes}): scale the mesh."
    )


def _in_unit(diameter: float, unit: str) -> str:
    own, size = f"{diameter:.4g} {unit}", _size(diameter * UNITS_IN_M[unit])
    return own if own == size else f"{own} = {size}"


def _size(metres: float) -> str:
    return f"{metres:.4g} m" if metres >= 1.0 else f"{1000 * metres:.4g} mm"


def _name(stated_m: float) -> str:
    return next((unit for unit, metres in UNITS_IN_M.items() if abs(stated_m / metres - 1) < 1e-6), f"{stated_m:g} m")
