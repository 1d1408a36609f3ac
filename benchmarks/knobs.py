"""How many numbers steer the core: named constants of its rooms, and settings of the chain.

    python -m benchmarks.knobs                     -> results/knobs.json (a second)
    python -m benchmarks.knobs --source FOLDER     another checkout's, printed and not written

A constant is a module's name in capitals that is bound to numbers (also in tuples and expressions of numbers); a setting is a
field of a stage of ``PipelineConfig``. ``before_`` are the counts at the start of the shared networks (commit 5ca3d13).
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import results

ROOMS = ("geometry", "objects", "measurement", "network", "detection", "pose", "tracking")
BEFORE = {"constants": 209, "settings": 46}


def constants(source: Path) -> dict[str, int]:
    """{room: number of its named constants} of the package in ``source``."""
    return {
        room: sum(len(list(_of_file(p))) for p in sorted((source / "pose_node" / room).glob("*.py"))) for room in ROOMS
    }


def settings(source: Path) -> int:
    """Number of fields of the stages of ``PipelineConfig`` in ``source``."""
    tree = ast.parse((source / "pose_node" / "config.py").read_text(encoding="utf-8"))
    stages = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != "PipelineConfig"]
    return sum(isinstance(line, ast.AnnAssign) for stage in stages for line in stage.body)


def _of_file(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        if names and all(name.lstrip("_").isupper() for name in names) and _is_number(node.value):
            yield from names


def _is_number(node: ast.AST | None) -> bool:
    """Whether an expression is made of numbers alone; functions of numbers count, such as a logarithm."""
    leaves = [n for n in ast.walk(node) if isinstance(n, ast.Constant)] if node is not None else []
    return bool(leaves) and all(isinstance(n.value, (int, float)) and not isinstance(n.value, bool) for n in leaves)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="root of another checkout; prints and writes nothing")
    options = parser.parse_args(arguments)
    found = constants(options.source or results.ROOT)
    figures = {f"constants_{room}": count for room, count in found.items()}
    figures |= {"constants": sum(found.values()), "settings": settings(options.source or results.ROOT)}
    for name, value in figures.items():
        print(f"{name:24} {value}")
    if options.source is None:
        figures |= {f"before_{name}": count for name, count in BEFORE.items()}
        results.write_result("knobs", "python -m benchmarks.knobs", figures)


if __name__ == "__main__":
    main()
