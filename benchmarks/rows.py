"""Many small measurements in several processes, each stored when it is done, so that a stopped run resumes.

A measurement has a key. Its row, a mapping of plain values, is stored in the cache folder in a file whose name contains a hash of
everything the row depends on. A change of the code or of the network therefore measures again.
"""

from __future__ import annotations

import ast
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import data
from pose_node.objects.card import load_card

Row = dict[str, Any]
_CHAIN = ("geometry", "objects", "measurement", "network", "detection", "pose")  # rooms
_CHAIN_FILES = ("config", "types", "pipeline")
_RENDERING = ("views", "view_settings", "scene", "segment_mask", "render", "noise", "shapes", "mesh_building", "mesh")
_RENDERING += ("shape_kinds/held_out", "shape_kinds/placing")  # of the clutter


def fingerprint(folders: Iterable[Path], config: Path | None, *settings: Any, code: Sequence[Path] = ()) -> str:
    """Hash of the objects' networks, surfaces and symmetries, the pipeline's code, the renderer and ``settings``.

    Comments, docstrings and layout of the code do not change it.
    """
    digest = hashlib.sha256(repr(settings).encode())
    package = data.ROOT / "pose_node"
    sources = [p for room in _CHAIN for p in sorted((package / room).glob("*.py"))]
    sources += [package / f"{name}.py" for name in _CHAIN_FILES]
    sources += [package / "learning" / f"{name}.py" for name in _RENDERING]
    for path in [*sources, *code]:
        digest.update(meaning(path))
    files = [config] if config else []
    files += shared_files()
    for folder in folders:
        files += [folder / "surface.npz", folder / "mesh.ply", folder / "bank.npz"]
        card = load_card(folder)  # its facts only: scores on the card change nothing
        for motions in (card.symmetry.discrete, card.confusions):
            digest.update(np.asarray(motions, float).tobytes())
        for axis in (*card.symmetry.axes, *card.confusion_axes):
            digest.update(np.concatenate([axis.direction, axis.origin_m]).tobytes())
    for path in files:
        digest.update(path.read_bytes() if path.exists() else b"absent")
    return digest.hexdigest()[:16]


def reached(*modules: str) -> list[Path]:
    """The files of these modules of the package and of all that they import of it, by name."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = data.ROOT / f"{name.replace('.', '/')}.py"
        if name in found or not path.exists():
            continue
        found[name] = path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pose_node"):
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [found[name] for name in sorted(found)]


def shared_files() -> list[Path]:
    """The networks that all objects share, where there are any."""
    return [data.ROOT / "models" / name / f"{name}.onnx" for name in ("backbone", "scorer")]


def measure(
    name: str,
    keys: Sequence[Any],
    work: Callable[[Any], Row],
    prepare: Callable[..., None],
    arguments: tuple[Any, ...],
    jobs: int,
    chunk: int = 1,
    progress: Callable[[list[Row]], str] | None = None,
) -> list[Row]:
    """The rows of ``keys``, in their order.

    name: of the file in the cache, fingerprint included. work(key) -> row; prepare(*arguments) is called once in each
    process before. progress: rows so far -> text next to the progress bar. Keys are strings or integers.
    """
    path = data.cache_folder() / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = _read(path)
    waiting = [key for key in keys if key not in rows]
    with path.open("a") as file:
        file.write("\n" if rows else "")  # a stopped run may have left an incomplete line
        bar = tqdm(
            spread(work, waiting, prepare, arguments, jobs, chunk), total=len(waiting), desc=name.rsplit("-", 1)[0]
        )
        for key, row in bar:
            rows[key] = row
            file.write(json.dumps([key, row]) + "\n")
            file.flush()
            if progress and len(rows) % 10 == 0:
                bar.set_postfix_str(progress(list(rows.values())), refresh=False)
    return [rows[key] for key in keys]


def meaning(path: Path) -> bytes:
    """The syntax tree of a Python file without docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree).encode()


def _read(path: Path) -> dict[Any, Row]:
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            key, row = json.loads(line)
        except ValueError:
            continue
        rows[key] = row
    return rows


def spread(
    work: Callable[[Any], Row],
    keys: Sequence[Any],
    prepare: Callable[..., None],
    arguments: tuple[Any, ...],
    jobs: int,
    chunk: int,
) -> Iterator[tuple[Any, Any]]:
    """(key, work(key)) as they are done, by ``jobs`` processes that each call prepare(*arguments) first."""
    if not keys:
        return
    if jobs <= 1:
        prepare(*arguments)
        for key in keys:
            yield key, work(key)
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # for the children: there is one per core
    with multiprocessing.get_context("spawn").Pool(jobs, prepare, arguments) as pool:
        yield from pool.imap_unordered(_Keyed(work), keys, chunk)


class _Keyed:
    """``work`` with its key beside the row; a class, because a closure cannot be pickled."""

    def __init__(self, work: Callable[[Any], Row]) -> None:
        self.work = work

    def __call__(self, key: Any) -> tuple[Any, Row]:
        return key, self.work(key)
