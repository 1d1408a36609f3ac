"""What the documents name exists: links, paths, modules, subcommands with their options, settings; and README stays short."""

from __future__ import annotations

import argparse
import re
from functools import cache
from pathlib import Path

import pytest

from pose_node.cli import parser
from pose_node.config import PipelineConfig

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = ("pose_node", "benchmarks", "config", "docs", "launch", "models", "resource", "script", "tests", ".ci")
PAGES = sorted({*REPOSITORY.glob("*.md"), *(p for folder in FOLDERS for p in (REPOSITORY / folder).rglob("*.md"))})
PAGES = [p for p in PAGES if p.parent.parent.name != "models"]  # those are written by add-object
EXAMPLES = {"models/part", "models/N"}  # objects that a reader makes
FRAME = re.compile(r"pose_node/[a-z_]+_\d+")  # on /tf
TRANSCRIPT = "ros2_tools.md"  # output of one day, which is not changed afterwards

PATH = re.compile(rf"(?<![\w/.$<>-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]*")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
MODULE = re.compile(r"python3? -m ((?:pose_node|benchmarks)[\w.]*)")
COMMAND = re.compile(r"(?<![\w/.])pose_node ([a-z][a-z-]*)([^\n`#]*)")
SETTING = re.compile(r"\b(sensor|segment|infer|refine|judge|track)\.([a-z]\w*)")
NAME = re.compile(r"`([a-z_]+[a-z0-9]*(?:_[a-z0-9]+)+)`")  # in backticks, with an underscore: meant literally


def named(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda p: str(p.relative_to(REPOSITORY)))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(page: Path) -> str:
    return "\n".join(CODE.findall(text_of(page)))


@cache
def source_text() -> str:
    """All that is no document: where a literal name must occur."""
    kinds = {".py", ".yaml", ".yml", ".json", ".toml", ".cfg", ".xml", ".rviz", ".msg", ".txt", ".in", ""}
    files = [p for p in REPOSITORY.iterdir() if p.is_file()]
    files += [p for folder in FOLDERS for p in (REPOSITORY / folder).rglob("*") if p.is_file()]
    wanted = [p for p in files if p.suffix in kinds and p.name != Path(__file__).name and p.stat().st_size < 400_000]
    return "\n".join(p.read_text(encoding="utf-8", errors="ignore") for p in wanted)


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@named(PAGES)
def test_links_resolve(page: Path) -> None:
    for target in LINK.findall(text_of(page)):
        if "://" in target:
            continue
        place, _, part = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        assert file.exists(), f"{target}: no such file"
        if part:
            assert part in [anchor(line.lstrip("# ")) for line in text_of(file).splitlines() if line.startswith("#")]


@named(PAGES)
def test_paths_exist(page: Path) -> None:
    for path in PATH.findall(code_of(page)):
        path = path.rstrip("./*")
        example = any(path == name or path.startswith(f"{name}/") for name in EXAMPLES)
        if example or "*" in path or FRAME.fullmatch(path):
            continue
        beside = page.parent / path  # a page may speak of its own folder
        assert (REPOSITORY / path).exists() or beside.exists(), f"{path}: no such file or folder"


@named(PAGES)
def test_modules_exist(page: Path) -> None:
    for module in MODULE.findall(text_of(page)):
        base = REPOSITORY.joinpath(*module.rstrip(".").split("."))
        if module.endswith("."):  # python -m benchmarks.<name>
            base = base / "__init__"
        assert base.with_suffix(".py").is_file() or (base / "__main__.py").is_file(), f"{module}: no such module"


@named([page for page in PAGES if page.name != TRANSCRIPT])
def test_subcommands_and_options_exist(page: Path) -> None:
    (choices,) = (a.choices for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for command, rest in COMMAND.findall(code_of(page)):
        if "launch.py" in command + rest or rest.startswith("."):
            continue  # ros2 launch pose_node pose.launch.py
        assert command in choices, f"pose_node {command}: no such subcommand"
        for option in re.findall(r"--[a-z][a-z-]*", rest):
            assert option in choices[command]._option_string_actions, f"pose_node {command} {option}: no such option"
    for option in re.findall(r"`(--[a-z][a-z-]*)", text_of(page)):
        assert f'"{option}"' in source_text(), f"{option}: no command has it"


@named([page for page in PAGES if page.name != TRANSCRIPT])
def test_settings_exist(page: Path) -> None:
    config = PipelineConfig()
    for stage, key in SETTING.findall(code_of(page)):
        if key not in ("py", "json"):
            assert hasattr(getattr(config, stage), key), f"{stage}.{key}: no such setting"


@named(PAGES)
def test_names_in_backticks_occur_in_the_sources(page: Path) -> None:
    for name in NAME.findall(text_of(page)):
        assert name in source_text(), f"{name}: nothing of that name"


def test_every_benchmark_is_listed() -> None:
    folder = REPOSITORY / "benchmarks"
    commands = {p.stem for p in folder.glob("*.py") if "__main__" in p.read_text(encoding="utf-8")} | {"peers"}
    listed = set(re.findall(r"^\| `(\w+)` \|", text_of(folder / "README.md"), re.MULTILINE))
    assert commands == listed


def test_the_map_names_every_room() -> None:
    page = text_of(REPOSITORY / "CONTRIBUTING.md")
    for path in (REPOSITORY / "pose_node").iterdir():
        if path.suffix == ".py" and not path.stem.startswith("__"):
            assert f"`{path.name}`" in page
        elif (path / "__init__.py").is_file():
            assert f"| `{path.name}/`" in page


def test_python_versions_are_those_of_setup() -> None:
    stated = re.search(r"3\.\d+ to 3\.\d+", text_of(REPOSITORY / "README.md"))
    assert stated and stated[0] in text_of(REPOSITORY / "script" / "setup")


def test_the_node_s_topics_and_services_are_documented() -> None:
    page = text_of(REPOSITORY / "docs" / "robot.md")
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (REPOSITORY / "pose_node" / "ros").glob("*.py"))
    offered = set(re.findall(r'"(~/[\w{}/]+|/[a-z_]+|depth/\w+)"', sources))
    for topic in offered - {"/clock"}:
        assert f"`{topic.replace('{name}', '<object>')}`" in page, f"{topic}: not in docs/robot.md"


def test_readme_is_read_once() -> None:
    lines = text_of(REPOSITORY / "README.md").splitlines()
    assert len(lines) <= 130
    assert not [line for line in lines if len(line) > 160]


@named([REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "benchmarks" / "README.md"])
def test_a_paragraph_is_no_cell(page: Path) -> None:
    cells = [
        cell for line in text_of(page).splitlines() if line.startswith("|") for cell in line.strip("|").split(" | ")
    ]
    assert not [cell for cell in cells if len(cell) > 120]
