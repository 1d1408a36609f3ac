"""Does the robot side run on every Python that setup.py names? Its tests and five estimates, in fresh environments.

    python -m benchmarks.versions                 every Python, with the oldest and the newest packages
    python -m benchmarks.versions 3.13 3.14       some; the rows of the others stay as they are

Needs `uv` (PyPI), which finds the Pythons of this machine, downloads those it lacks where it may, and resolves to the oldest
packages that setup.py allows as well as to the newest. The oldest are tested with Jazzy's rclpy, the newest with Kilted's.
The command needs numpy alone. It writes results/versions.json and the table in docs/versions.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
KILTED = (
    "ros-rclpy[fastrtps]==9.1.2",
    *(f"ros-{name}-msgs" for name in ("sensor", "geometry", "visualization", "diagnostic", "std", "lifecycle")),
    "ros-std-srvs",
)
COMPILED = (
    "numpy",
    "scipy",
    "pyyaml",
    "onnxruntime",
    "pillow",
)  # releases without a wheel for a Python are passed over
OTHER_SIDES = ("ros", "learning", "evaluation", "viewing", "benchmarks")
CORE_TESTS = sorted(
    path.relative_to(results.ROOT)
    for path in (results.ROOT / "tests").iterdir()
    if path.name not in OTHER_SIDES and (path.match("test_*.py") or any(path.glob("test_*.py")))
)
NODE_TESTS = [Path("tests/ros") / name for name in ("test_interfaces.py", "test_node.py", "test_tf.py")]
SCENES = results.ROOT / "pose_node" / "ros" / "demo" / "ycbv_demo" / "scenes"
# Scene, frame, object, and the label whose mask is given.
QUESTIONS = (
    ("000002", 1, "mustard_bottle", 0),
    ("000002", 3, "potted_meat_can", 2),
    ("000002", 5, "banana", 3),
    ("000000", 1, "mug", 1),
    ("000002", 2, "mustard_bottle", None),
)
TABLE = results.ROOT / "docs" / "versions.md"
BEGIN, END = "<!-- table: begin (python -m benchmarks.versions) -->\n", "<!-- table: end -->\n"
HEADER = (
    "Python",
    "numpy",
    "scipy",
    "onnxruntime",
    "rclpy",
    "core's tests",
    "node's tests",
    "moved by",
    "turned by",
    "date",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="The robot side's tests on several Pythons.")
    parser.add_argument("pythons", nargs="*", default=PYTHONS, metavar="PYTHON", help="3.10 to 3.14 (default: all)")
    for python in parser.parse_args().pythons:
        for oldest in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                row = measure(Path(folder), python, oldest)
            write(row)
            print(" | ".join(cells(row, row)), flush=True)


def measure(folder: Path, python: str, oldest: bool) -> dict[str, Any]:
    """One row: make the environment below ``folder``, run the tests in it, and estimate."""
    program = str(folder / "bin" / "python")
    uv("venv", "--quiet", "--clear", "--python", python, str(folder))
    ros = ["-e", ".[ros]"] if oldest else ["-e", ".", *KILTED]
    wheels = [word for name in COMPILED for word in ("--only-binary", name)]
    install = ("pip", "install", "--quiet", "--python", program)
    uv(*install, "--resolution", "lowest-direct" if oldest else "highest", *wheels, *ros)
    chosen = {
        p["name"]: p["version"]
        for p in json.loads(uv("pip", "list", "--quiet", "--format", "json", "--python", program))
    }
    frozen = folder / "frozen.txt"
    frozen.write_text("".join(f"{name}=={version}\n" for name, version in chosen.items() if name != "pose-node"))
    uv(*install, "--constraint", str(frozen), "pytest", "hypothesis", "onnx")
    run(program, "-m", "pose_node.ros.interfaces", str(folder / "interfaces"))
    return {
        "python": python,
        "oldest": oldest,
        "versions": {
            "python": run(program, "-c", "import platform; print(platform.python_version())").strip(),
            **{name: chosen[name] for name in ("numpy", "scipy", "onnxruntime", "pillow", "ros-rclpy")},
        },
        "core": tests(program, CORE_TESTS),
        "node": tests(program, NODE_TESTS, PYTHONPATH=str(folder / "interfaces")),
        "poses": [poses(program, *question) for question in QUESTIONS],
        "commit": results.commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
    }


def tests(program: str, paths: list[Path], **environment: str) -> dict[str, int]:
    """What pytest counts: passed, failed, errors, skipped. What failed is printed."""
    command = [program, "-m", "pytest", "-q", *map(str, paths)]
    done = subprocess.run(command, cwd=results.ROOT, env=_environment(**environment), capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-2000:], flush=True)
    lines = done.stdout.strip().splitlines()
    counts = {
        kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error|skipped)", lines[-1] if lines else "")
    }
    return {kind: counts.get(kind, 0) for kind in ("passed", "failed", "error", "skipped")}


def poses(program: str, scene: str, frame: int, name: str, label: int | None) -> list[list[list[float]]]:
    """T_camera_object [4, 4] of each estimate of ``pose_node estimate``, best first."""
    folder = SCENES / scene
    command = [program, "-m", "pose_node", "estimate", str(folder / "depth" / f"{frame:06d}.png"), "--json"]
    command += ["--camera", str(folder / "scene_camera.json"), "--object", name]
    if label is not None:
        command += ["--mask", str(folder / "mask_visib" / f"{frame:06d}_{label:06d}.png")]
    return [json.loads(line)["T_camera_object"] for line in run(*command).splitlines()]


def difference(row: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    """The largest distance [m] and angle [rad] between the best poses of two rows; 0 for the same bytes."""
    pairs = [(np.array(a[0]), np.array(b[0])) for a, b in zip(row["poses"], other["poses"]) if a != b]
    distances = [float(np.linalg.norm(A[:3, 3] - B[:3, 3])) for A, B in pairs]
    # The chord is exact for small angles, where the arc cosine of the trace is not.
    angles = [2 * float(np.arcsin(min(1.0, np.linalg.norm(A[:3, :3] - B[:3, :3]) / 8**0.5))) for A, B in pairs]
    return max(distances, default=0.0), max(angles, default=0.0)


def cells(row: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """A row of the table; ``other`` is the one whose estimates it is compared with."""
    moved_m, turned_rad = difference(row, other)
    counts = [
        f"{row[kind]['passed']} passed"
        + "".join(f", {n} {k}" for k, n in row[kind].items() if n and k in ("failed", "error"))
        for kind in ("core", "node")
    ]
    apart = (
        [f"{1e3 * moved_m:.1g} mm", f"{np.degrees(turned_rad):.1g}°"] if moved_m or turned_rad else ["same bytes"] * 2
    )
    versions = row["versions"]
    named = [versions[name] for name in ("python", "numpy", "scipy", "onnxruntime", "ros-rclpy")]
    return [*named, *counts, *apart, row["date"]]


def write(row: dict[str, Any]) -> None:
    """Put the row among those measured earlier, in the results and in the table."""
    path = results.FOLDER / "versions.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    rows = [r for r in rows if (r["python"], r["oldest"]) != (row["python"], row["oldest"])]
    rows = sorted([*rows, row], key=lambda r: (PYTHONS.index(r["python"]), not r["oldest"]))
    failed = sum(r[kind][what] for r in rows for kind in ("core", "node") for what in ("failed", "error"))
    figures = {"environments": len(rows), "failed_tests": failed}
    results.write_result("versions", "python -m benchmarks.versions", figures, more={"rows": rows})
    lines = [f"| {' | '.join(row)} |\n" for row in (HEADER, ["---"] * len(HEADER), *(cells(r, rows[-1]) for r in rows))]
    before, _, rest = TABLE.read_text(encoding="utf-8").partition(BEGIN)
    results.write_text(TABLE, before + BEGIN + "".join(lines) + END + rest.partition(END)[2])


def uv(*arguments: str) -> str:
    """Run uv; returns what it prints."""
    return run("uv", *arguments)


def run(*command: str) -> str:
    """Run a command in the repository's folder; returns what it prints, and shows what it complains of when it fails."""
    done = subprocess.run(command, cwd=results.ROOT, env=_environment(), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _environment(**more: str) -> dict[str, str]:
    """One thread, so that estimates depend on packages and not on the number of cores.

    Where this process has rclpy's wheels, they have set two variables that would give the children its libraries.
    """
    inherited = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")}
    return {**inherited, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **more}


if __name__ == "__main__":
    main()
