"""How results are stored: the figures, and all that is needed to measure them again."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks" / "results"


def write_result(
    name: str,
    command: str,
    figures: Mapping[str, float],
    folder: Path | None = None,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``<folder>/<name>.json`` = {command, commit, date, machine, figures} in one step; return its path.

    Figures are numbers; one that is not finite (nothing to measure) is written as null. more: the data
    behind the figures, under further keys, an item a line.
    Raises TypeError when a figure is not a number.
    """
    clean = {key: _number(key, value) for key, value in figures.items()}
    content = {
        "command": command,
        "commit": commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine(),
        "figures": clean,
    }
    path = (folder or FOLDER) / f"{name}.json"
    text = json.dumps(content, indent=1)
    for key, value in (more or {}).items():
        lines = json.dumps(value)
        if isinstance(value, list):
            lines = "[\n  " + ",\n  ".join(json.dumps(item) for item in value) + "\n ]"
        text = f"{text[:-2]},\n {json.dumps(key)}: {lines}\n}}"
    write_text(path, text + "\n")
    return path


def write_table(path: Path, title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a Markdown table; floats are rounded to three significant digits or one decimal, whichever is more."""
    lines = [f"# {title}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    write_text(path, "\n".join(lines) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically, so that a reader never sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    os.replace(partial, path)


def commit() -> str:
    """The commit that was measured, with "+" when files differ from it; "unknown" outside git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        dirty = _git("status", "--porcelain", "--untracked-files=no", "--", "pose_node", "models", "benchmarks/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if dirty else "")


def machine() -> dict[str, Any]:
    """Processor, usable cores, system and versions; nothing that identifies the machine."""
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    try:
        import onnxruntime

        versions["onnxruntime"] = onnxruntime.__version__
    except ImportError:
        pass
    return {"cpu": _cpu(), "cores": len(os.sched_getaffinity(0)), "system": platform.system(), **versions}


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile, NaN of nothing."""
    return float(np.percentile(values, q)) if len(values) else math.nan


def share(flags: Sequence[bool]) -> float:
    """The share that is true, NaN of nothing."""
    return float(np.mean(flags)) if len(flags) else math.nan


def _number(key: str, value: Any) -> float | int | None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"figure {key!r}: found {value!r}, expected a number.")
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(f"{float(value):.6g}") if math.isfinite(value) else None


def _cell(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            return "-"
        return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
