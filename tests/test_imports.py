"""Imports go down the list of rooms: what a room may know is what stands before it.

Once by reading every import of the sources, once by importing each side where the other sides' packages do not exist.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pose_node.moved import MOVED

PACKAGE = Path(__file__).resolve().parents[1] / "pose_node"

CORE_PACKAGES = {"numpy", "scipy", "yaml", "threadpoolctl"}
MESSAGES = {
    "action_msgs",
    "builtin_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "lifecycle_msgs",
    "rcl_interfaces",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
    "vision_msgs",
    "visualization_msgs",
}
ROS_PACKAGES = {"rclpy", "ament_index_python", *MESSAGES}
LEARNING_PACKAGES = {"torch", "escnn", "open3d", "trimesh", "onnx", "onnxscript", "tqdm", "sklearn"}
EVALUATION_PACKAGES = {"rosbags", "matplotlib", "jinja2", "rich", "ray", "rerun"}


# Every room may import those above it, and its own files. A file of the package's own folder is a room by itself.
ROOMS = (
    *(
        "errors",
        "moved",
        "arrays",
        "timing",
        "geometry",
        "types",
        "config",
        "objects",
        "measurement",
        "network",
        "detection",
    ),
    *("pose", "tracking", "pipeline", "__init__", "messages", "drawing"),
)
# The sides know all of these and never each other; viewing shows what evaluation and the node make.
SIDES = ("ros", "learning", "evaluation", "viewing", "cli")
EVALUATION_ROOMS = ("options", "records", "run_folder", "metrics", "sources", "figures", "runs", "report", "command")


def room_of(module: str) -> str:
    """pose_node.pose.refine: pose."""
    return (module.split(".")[1:] or ["__init__"])[0].replace("__main__", "cli")


def side_of(module: str) -> str:
    """The side that a module of ours belongs to: core, cli, ros, learning, evaluation or viewing."""
    return room_of(module) if room_of(module) in SIDES else "core"


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(*sides: str) -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if side_of(module_name(p)) in sides]


def is_for_types(node: ast.AST) -> bool:
    """``if TYPE_CHECKING:``, which no interpreter enters."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every absolute import of a file: (module, whether importing the file leaves it alone)."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    later = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) or is_for_types(n)]
    inside = {id(n) for block in later for n in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: relative import, expected an absolute one"
            ours = node.module == "pose_node"
            names = [f"pose_node.{a.name}" for a in node.names] if ours else [str(node.module)]
        else:
            continue
        for name in names:
            yield name, id(node) in inside


def is_standard(name: str) -> bool:
    return name in sys.stdlib_module_names


def named(paths: list[Path]):
    return pytest.mark.parametrize("path", paths, ids=lambda p: str(p.relative_to(PACKAGE)))


def test_every_room_is_in_the_list():
    here = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert here == {*ROOMS, *SIDES, "__main__"}
    inside = {p.stem for p in (PACKAGE / "evaluation").iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert inside == {*EVALUATION_ROOMS, "__init__"}


@named(sources("core"))
def test_the_core_imports_down_the_list_and_knows_few_packages(path):
    room = room_of(module_name(path))
    for name, lazy in imports(path):
        top = name.split(".")[0]
        if top == "pose_node":
            later = room_of(name) == "pipeline" and lazy  # the face of the package, on first use
            assert ROOMS.index(room_of(name)) <= ROOMS.index(room) or later, f"{room}/{path.name} imports {name}"
        elif top == "onnxruntime":
            assert module_name(path) == "pose_node.network.session", (
                f"{path.name} imports onnxruntime; session.py alone may"
            )
        elif top == "PIL":
            assert lazy, f"{path.name} imports PIL at the top; the core does so inside functions"
        elif top == "trimesh":
            here = module_name(path) == "pose_node.objects.mesh_file"
            assert lazy and here, f"{path.name} imports trimesh; mesh_file.py alone may, inside functions"
        else:
            assert is_standard(top) or top in CORE_PACKAGES, f"{path.name} imports {name}"


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_leads_to_a_module_of_now(old, new):
    """Whoever renames a file names its new name in pose_node/moved.py, too."""
    modules = {module_name(p) for p in PACKAGE.rglob("*.py")}
    assert f"pose_node.{new}" in modules
    assert f"pose_node.{old}" not in modules, "the old name is a module again: take it out of pose_node/moved.py"


@named(sources("core", *SIDES))
def test_no_circles(path):
    """No file is imported, at whatever time, by what it imports."""
    graph = import_graph()
    start = module_name(path)
    seen, stack = set(), [start]
    while stack:
        for name in graph[stack.pop()]:
            assert name != start, f"{start} imports itself, by way of {sorted(seen)}"
            if name not in seen:
                seen.add(name)
                stack.append(name)


@cache
def import_graph() -> dict[str, set[str]]:
    """For each module of ours those of ours that it imports, now or later."""
    modules = {module_name(p): p for p in PACKAGE.rglob("*.py")}
    graph = {}
    for module, path in modules.items():
        known = set()
        for name, _ in imports(path):
            while name.startswith("pose_node.") and name not in modules:
                name = name.rpartition(".")[0]
            known.add(name)
        graph[module] = (known & set(modules)) - {"pose_node"}
    return graph


@named(sources("evaluation"))
def test_evaluation_imports_down_its_own_list(path):
    def place(module: str) -> int:
        return EVALUATION_ROOMS.index((module.split(".")[2:] or ["options"])[0])

    for name, _ in imports(path):
        if side_of(name) == "evaluation" and name != "pose_node.evaluation":
            assert place(name) <= place(module_name(path)), f"{path.name} imports {name}"


@named(sources("cli"))
def test_the_command_imports_sides_inside_its_subcommands(path):
    for name, lazy in imports(path):
        top = name.split(".")[0]
        if not lazy:
            light = (
                top in CORE_PACKAGES or is_standard(top) or (top == "pose_node" and side_of(name) in ("core", "cli"))
            )
            assert light, f"{path.name} imports {name} at the top"


@named(sources("ros"))
def test_ros_side_knows_core_and_ros(path):
    for name, _ in imports(path):
        top = name.split(".")[0]
        if top == "pose_node":
            assert side_of(name) in ("core", "ros"), f"{path.name} imports {name}"
        elif top == "rclpy":
            nodes = ("node.py", "inputs.py", "outputs.py", "reloading.py", "services.py", "subscription.py")
            assert path.name in nodes or path.parent.name == "demo", f"{path.name} imports rclpy"
        else:
            allowed = is_standard(top) or top in CORE_PACKAGES | ROS_PACKAGES | {"PIL"}
            allowed |= top.startswith("rosidl_") and side_of(module_name(path)) == "ros"
            assert allowed, f"{path.name} imports {name}"


@named(sources("learning"))
def test_learning_knows_core_and_learning(path):
    for name, _ in imports(path):
        top = name.split(".")[0]
        assert top != "pose_node" or side_of(name) in ("core", "learning"), f"{path.name} imports {name}"
        assert top not in ROS_PACKAGES | {"rosbags"}, f"{path.name} imports {name}"


@named(sources("evaluation"))
def test_evaluation_knows_core_and_evaluation(path):
    for name, _ in imports(path):
        top = name.split(".")[0]
        assert top != "pose_node" or side_of(name) in ("core", "evaluation"), f"{path.name} imports {name}"
        assert top not in ROS_PACKAGES | LEARNING_PACKAGES, f"{path.name} imports {name}"


@named(sources("viewing"))
def test_viewing_knows_what_it_shows(path):
    """Recordings by the evaluation side, a running node by the ROS side; each of the two without the other's packages."""
    live = path.name == "live.py"
    for name, _ in imports(path):
        top = name.split(".")[0]
        if top == "pose_node":
            known = ("core", "viewing", "ros" if live else "evaluation")
            assert side_of(name) in known, f"{path.name} imports {name}"
        elif top == "rerun":
            assert path.name == "canvas.py", f"{path.name} imports rerun; canvas.py alone may"
        else:
            assert is_standard(top) or top in CORE_PACKAGES | (ROS_PACKAGES if live else set()), f"{path.name}: {name}"


BLOCKED_IMPORT = """
import importlib, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"blocked by the test: {name}", name=name)

BLOCKED, modules = set(sys.argv[1].split(",")), sys.argv[2].split(",")
sys.meta_path.insert(0, Missing())
for module in modules:
    importlib.import_module(module)
loaded = BLOCKED & {name.split(".")[0] for name in sys.modules}
assert not loaded, f"already loaded: {loaded}"
"""


def import_without(blocked: set[str], modules: list[str]) -> None:
    """Import the modules in a fresh interpreter in which the blocked packages do not exist."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED_IMPORT, ",".join(sorted(blocked)), ",".join(modules)],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"without {', '.join(sorted(blocked))}:\n{done.stderr}"


def names(*sides: str) -> list[str]:
    """Modules of these sides; ``__main__`` runs when imported, so it stays out."""
    return [m for m in map(module_name, sources(*sides)) if not m.endswith("__main__")]


def need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def test_core_and_command_import_alone():
    import_without(ROS_PACKAGES | LEARNING_PACKAGES | EVALUATION_PACKAGES | {"cv2", "pandas"}, names("core", "cli"))


def test_the_package_itself_is_light():
    import_without(ROS_PACKAGES | LEARNING_PACKAGES | EVALUATION_PACKAGES | {"onnxruntime", "PIL"}, ["pose_node"])


@pytest.mark.ros
def test_ros_side_imports_without_learning_and_evaluation():
    need("rclpy")
    import_without(LEARNING_PACKAGES | EVALUATION_PACKAGES | {"cv2", "pandas"}, names("core", "cli", "ros"))


@pytest.mark.ros
def test_ros_side_imports_without_the_messages_that_only_ros_has():
    need("rclpy")
    import_without({"tf2_msgs", "vision_msgs"}, names("ros"))


@pytest.mark.learning
def test_learning_imports_without_ros_and_evaluation():
    need("torch")
    need("open3d")
    import_without(ROS_PACKAGES | {"rosbags", "escnn"}, names("learning"))


def test_evaluation_imports_without_ros_and_learning():
    need("rosbags")
    import_without(ROS_PACKAGES | LEARNING_PACKAGES | {"ray"}, names("evaluation"))
