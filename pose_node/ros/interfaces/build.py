"""``.msg`` files -> an importable package, by the generators in rclpy's wheels and a C++ compiler.

The libraries are inside the package and its Python extension links to them, so no library path has to be set.
By hand, as ROS's own build needs CMake and ament, which a machine with pip alone lacks.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pose_node.errors import PoseNodeError

DEFINITIONS = Path(__file__).parent
PACKAGES = tuple(sorted(folder.name for folder in DEFINITIONS.iterdir() if any(folder.glob("*.msg"))))
DEPENDENCIES = ("builtin_interfaces", "std_msgs", "geometry_msgs")  # packages whose messages are fields of these
_SUPPORTS = ("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c")  # rmw_fastrtps asks for both
_STAMP = ".built-from"
_EXPECTED = "expected ROS 2 as wheels (pip's extra 'ros')"


class BuildError(PoseNodeError, RuntimeError):
    """A package cannot be generated or compiled here."""


def build(out: Path) -> tuple[str, ...]:
    """Make the packages below ``out``, a folder for PYTHONPATH, unless they were made from the same sources before.

    A package that is installed elsewhere is not made, so that it is never shadowed. Returns the names of those made now.
    Raises BuildError without the wheels or a compiler.
    """
    made = []
    for package in PACKAGES:
        here = out / package
        if _is_elsewhere(package, out):
            shutil.rmtree(here, ignore_errors=True)
            continue
        source_hash, stamp = _source_hash(package), here / _STAMP
        if not stamp.is_file() or stamp.read_text() != source_hash:
            with tempfile.TemporaryDirectory() as folder:
                scratch = Path(folder).resolve()
                link(package, generate(package, scratch), scratch)
                shutil.rmtree(here, ignore_errors=True)
                shutil.copytree(scratch / package, here, ignore=_build_files)
            stamp.write_text(source_hash)
            made.append(package)
    return tuple(made)


def generate(package: str, scratch: Path) -> dict[str, list[Path]]:
    """Write the Python and C sources of ``package`` to scratch/package; returns {library: sources to compile}.

    Each message gets its description with the type hash, msg/<name>.json. Raises BuildError without the wheels.
    """
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)  # where the generators look for their templates
    try:
        from ament_index_python import get_package_share_directory
        from rosidl_adapter import convert_to_idl
        from rosidl_generator_c.cli import GenerateC
        from rosidl_generator_py.cli import GeneratePython
        from rosidl_generator_type_description.cli import HashTypeDescription
        from rosidl_typesupport_c.cli import GenerateCTypesupport
        from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
        from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport
    except ImportError as error:
        raise BuildError(f"{package}: found no {error.name}, {_EXPECTED}.") from error
    out = scratch / package
    definitions = sorted((DEFINITIONS / package).glob("*.msg"))
    with contextlib.redirect_stdout(io.StringIO()):  # the adapter prints each file
        for path in definitions:
            convert_to_idl(path.parent, package, Path(path.name), out)
        inputs = {
            "package_name": package,
            "interface_files": [f"{out}:msg/{path.stem}.idl" for path in definitions],
            "include_paths": [get_package_share_directory(name) for name in DEPENDENCIES],
        }
        into_package = {**inputs, "output_path": out}
        # In a folder of its own: some of its files have the names of the C generator's.
        into_introspection = {**inputs, "output_path": scratch / "introspection" / package}
        hashed = HashTypeDescription("type_description").generate_type_hashes(**into_package)
        plain = GenerateC("c").generate(**into_package, type_description_files=hashed)
        fast = GenerateFastRTPSCTypesupport("fastrtps_c").generate(**into_package)
        introspection = GenerateIntrospectionCTypesupport("introspection_c").generate(**into_introspection)
        general = GenerateCTypesupport("c", typesupport_implementations=list(_SUPPORTS)).generate(**into_package)
        python = GeneratePython("py", typesupport_implementations=["rosidl_typesupport_c"]).generate(**into_package)
    (out / "__init__.py").touch()
    files = {
        f"lib{package}__{_SUPPORTS[0]}.so": [*plain, *fast],
        f"lib{package}__{_SUPPORTS[1]}.so": introspection,
        f"{package}_s__rosidl_typesupport_c{sysconfig.get_config_var('EXT_SUFFIX')}": [*general, *python],
    }
    return {name: [p for p in map(Path, paths) if p.suffix in (".c", ".cpp")] for name, paths in files.items()}


def link(package: str, sources: dict[str, list[Path]], scratch: Path) -> None:
    """Compile the sources in ``scratch`` to libraries in scratch/package, each linked to those before it.

    Raises BuildError without a compiler or Python's headers.
    """
    for tool in ("gcc", "g++"):
        if shutil.which(tool) is None:
            raise BuildError(f"{package}: found no {tool} on the PATH, expected a compiler for the messages.")
    headers = Path(sysconfig.get_paths()["include"])
    if not (headers / "Python.h").is_file():
        raise BuildError(f"{package}: found no {headers / 'Python.h'}, expected Python's headers (python3-dev).")
    prefix = Path(sys.prefix)
    folders = [scratch, scratch / "introspection", headers, np.get_include(), prefix / "include"]
    folders += (prefix / "include").iterdir()
    options = ["-shared", "-fPIC", "-O1", "-w", *(f"-I{folder}" for folder in folders)]
    kinds = ("generator_c", "generator_py", "typesupport_c", *(name.removeprefix("rosidl_") for name in _SUPPORTS))
    linked = [f"-L{prefix / 'lib'}", f"-Wl,-rpath,$ORIGIN:{prefix / 'lib'}"]
    linked += [f"-l{name}__rosidl_{kind}" for name in DEPENDENCIES for kind in kinds]
    linked += ["-lrosidl_runtime_c", "-lrosidl_typesupport_c", *(f"-l{name}" for name in _SUPPORTS)]
    linked += ["-lrosidl_typesupport_fastrtps_cpp", "-lfastcdr", "-lrmw", "-lrcutils", "-lstdc++"]
    linked += ["-Wl,--no-as-needed"]  # the extension loads ours without calling a symbol of them
    for name, paths in sources.items():
        # The C++ files as one: parsing Fast CDR's headers takes most of the time.
        joined = scratch / "joined.cpp"
        joined.write_text("".join(f'#include "{path}"\n' for path in paths if path.suffix == ".cpp"))
        inputs = [joined, *(path for path in paths if path.suffix == ".c")]
        target = scratch / package / name
        done = subprocess.run(
            ["gcc", *options, *inputs, *linked, f"-Wl,-soname,{name}", "-o", target], capture_output=True, text=True
        )
        if done.returncode:
            raise BuildError(f"{package}: gcc failed:\n{done.stderr.strip()}")
        linked.append(str(target))


def _is_elsewhere(package: str, out: Path) -> bool:
    spec = find_spec(package)
    if spec is None or spec.origin is None:  # without __init__.py it is some folder of that name
        return False
    return not Path(spec.origin).resolve().is_relative_to(out.resolve())


def _build_files(_: str, names: list[str]) -> list[str]:
    """What a finished package does not need: all but Python, libraries, and the descriptions with the hashes."""
    return [n for n in names if not (n == "msg" or n.endswith((".py", ".so", ".json")))]


def _source_hash(package: str) -> str:
    """A hash of everything that the build depends on. Raises BuildError without the wheels."""
    try:
        wheels = [version(name) for name in ("ros-rosidl-generator-py", "ros-rmw-fastrtps-cpp", "ros-geometry-msgs")]
    except PackageNotFoundError as error:
        raise BuildError(f"{package}: found no {error.name}, {_EXPECTED}.") from error
    digest = hashlib.sha256(repr((wheels, sys.version, sys.prefix, np.__version__)).encode())
    for path in [Path(__file__), *sorted((DEFINITIONS / package).glob("*.msg"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
