"""Packaging for pip and colcon alike. The learning, evaluation and ROS sides are extras: the plain install is the robot's."""

from __future__ import annotations

import os
import re

from setuptools import find_packages, setup

NAME = "pose_node"


def version() -> str:
    """The version as ``pose_node/__init__.py`` states it, read as text: importing would need the dependencies."""
    with open(os.path.join(NAME, "__init__.py"), encoding="utf-8") as file:
        found = re.search(r'^__version__ = "([^"]+)"', file.read(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f'{NAME}/__init__.py: found no line __version__ = "...", expected one.')
    return found.group(1)


def files_below(folder: str) -> list[str]:
    """All files below ``folder``, sorted; hidden ones and byte code are nobody's data."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f != "__pycache__" and not f.startswith("."))
        found += [os.path.join(here, n) for n in sorted(names) if not n.startswith(".") and not n.endswith(".pyc")]
    return found


def shared_data() -> list[tuple[str, list[str]]]:
    """What ROS and ``--models`` look for under share/, folder by folder."""
    share = os.path.join("share", NAME)
    data = [
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (share, ["package.xml", "LICENSE", "NOTICE"]),
    ]
    below: dict[str, list[str]] = {}
    for folder in ("config", "launch", "models"):
        for path in files_below(folder):
            below.setdefault(os.path.join(share, os.path.dirname(path)), []).append(path)
    return [(target, files) for target, files in data + sorted(below.items()) if files]


def package_files(folder: str) -> list[str]:
    """The data in a folder of the package, relative to the package (its Python files are found as packages are)."""
    return [os.path.relpath(p, NAME) for p in files_below(os.path.join(NAME, folder)) if not p.endswith(".py")]


learn = ["torch>=2.3", "onnx", "onnxscript", "open3d>=0.18", "trimesh", "tqdm", "matplotlib", "tensorboard"]
learn += ["lxml", "networkx"]  # what trimesh reads 3MF with
# Recomputes learning/coupling_table.npz; compiles Fortran and needs numpy 1. Training, export and tests do without it.
escnn = ["escnn>=1.0.11"]
evaluation = ["rosbags", "matplotlib", "jinja2", "rich", "trimesh"]
view = ["rosbags", "rich", "trimesh", "rerun-sdk>=0.23"]  # pose_node view; with numpy 1: script/constraints.txt
ray = ["ray"]  # pose_node evaluate --ray: beside the evaluation side, on every machine of a cluster
# Jazzy, the long-term release, as wheels (x86_64 Linux). A machine with ROS installed uses its own packages instead.
ros = [
    "ros-rclpy[fastrtps]==7.1.6",
    "ros-sensor-msgs==5.3.6",
    "ros-geometry-msgs==5.3.6",
    "ros-visualization-msgs==5.3.6",
    "ros-diagnostic-msgs==5.3.6",
    "ros-std-srvs==5.3.6",
    "ros-std-msgs==5.3.6",
    "ros-lifecycle-msgs==2.0.3",
]
test = ["pytest"]  # colcon test runs no test where this extra is missing
bench = ["opencv-contrib-python-headless>=4.11,<5", "kiss-matcher>=1.0.2", "psutil"]
dev = [*test, "pytest-cov", "pytest-xdist", "hypothesis", "ruff", "mypy", "pre-commit", *bench]
folders_with_data = ("ros/demo", "ros/interfaces", "learning", "evaluation/report/templates")
data = [file for folder in folders_with_data for file in package_files(folder)]

setup(
    name=NAME,
    version=version(),
    description="Depth-only 6D object pose: from a mesh to a ROS 2 node, without training",
    long_description="See README.md.",
    license="Apache-2.0",
    maintainer="pose_node developers",
    maintainer_email="pose_node@example.com",
    python_requires=">=3.10",
    classifiers=[f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)],
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", *data]},
    data_files=shared_data(),
    install_requires=["numpy>=1.21,<3", "scipy>=1.8", "pyyaml", "onnxruntime>=1.12", "pillow", "threadpoolctl"],
    extras_require={
        "learn": learn,
        "escnn": escnn,
        "eval": evaluation,
        "view": view,
        "ray": ray,
        "ros": ros,
        "bench": bench,
        "test": test,
        "dev": dev,
    },
    entry_points={"console_scripts": [f"{NAME} = {NAME}.cli:main"]},
    zip_safe=False,
)
