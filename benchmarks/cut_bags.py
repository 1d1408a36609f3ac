"""Truncated and faulty recordings through ``pose_node evaluate``: a report or one sentence each, never a traceback.

    python -m benchmarks.cut_bags            -> results/cut_bags.json (about ten minutes)

Inputs: fifty copies of a small bag, each cut at a random byte; and bags without camera info, with depth of another type, with
different stamps of depth and info, and with a clock that is reset. Each goes through the command with one process and with two.
``neither`` counts runs that gave neither a report nor exactly one sentence; their output is printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.labelled_bag import STEP_NS, demo_frames, labelled_messages, write_messages
from pose_node.evaluation.run_folder import REPORT

OBJECT, ID, SCENE, FRAMES = "mustard_bottle", 5, "000002", 3
CUTS = 50
DEPTH, INFO, LABEL = "/camera/depth/image_rect", "/camera/depth/camera_info", f"/labels/{ID}/pose"
Messages = list[tuple[str, int, Any]]


def wrong(messages: Messages) -> Iterator[tuple[str, Messages]]:
    """(fault, messages with this fault)."""
    yield "no_info", [m for m in messages if m[0] != INFO]
    poses = [(DEPTH, when, message) for topic, when, message in messages if topic == LABEL]
    yield "wrong_type", [m for m in messages if m[0] != DEPTH] + poses
    yield "out_of_step", [_later(m, STEP_NS // 2) if m[0] == INFO else m for m in messages]
    again = [(topic, when + 10 * STEP_NS, message) for topic, when, message in messages]
    yield "looped_clock", messages + [_later(m, -5_000_000_000) for m in again]


def _later(message: tuple[str, int, Any], by_ns: int) -> tuple[str, int, Any]:
    """The message with another header stamp and its recording time."""
    topic, when_ns, content = message
    content = deepcopy(content)
    seconds, content.header.stamp.nanosec = divmod(content.header.stamp.nanosec + by_ns, 1_000_000_000)
    content.header.stamp.sec += seconds
    return topic, when_ns, content


def outcome(bag: Path, out: Path, jobs: int) -> tuple[str, str]:
    """("report", "sentence" or "neither", the command's stderr)."""
    command = [sys.executable, "-m", "pose_node", "evaluate", str(bag), "--out", str(out), "--jobs", str(jobs)]
    command += ["--objects", OBJECT, "--labels", f"{ID}={OBJECT}"]
    done = subprocess.run(command, cwd=results.ROOT, capture_output=True, text=True)
    stderr = done.stderr.strip()
    if done.returncode in (0, 3) and not stderr and (out / REPORT).is_file():
        return "report", stderr
    if done.returncode == 2 and stderr.startswith("pose_node: ") and "\n" not in stderr:
        return "sentence", stderr
    return "neither", stderr


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=CUTS)
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as place:
        messages = list(labelled_messages(demo_frames(SCENE)[:FRAMES]))
        (file,) = write_messages(Path(place) / "whole", messages).glob("*.mcap")
        whole = file.read_bytes()
        bags = [write_messages(Path(place) / name, changed) for name, changed in wrong(messages)]
        for at in np.random.default_rng(0).integers(0, len(whole), options.cuts).tolist():
            bags.append(Path(place) / f"cut_{at}.mcap")
            bags[-1].write_bytes(whole[:at])
        counts: dict[int, Counter[str]] = {1: Counter(), 2: Counter()}
        for bag in bags:
            for jobs, counter in counts.items():
                kind, stderr = outcome(bag, Path(place) / f"{bag.stem}_{jobs}", jobs)
                counter[kind] += 1
                if kind == "neither":
                    print(f"{bag.name}, {jobs} jobs: {stderr}")
    figures = {"cuts": options.cuts, "wrong": len(bags) - options.cuts}
    for jobs, counter in counts.items():
        figures.update({f"jobs_{jobs}_{kind}": counter[kind] for kind in ("report", "sentence", "neither")})
    for key, value in figures.items():
        print(f"{key}: {value}")
    if options.cuts == CUTS:
        results.write_result("cut_bags", "python -m benchmarks.cut_bags", figures)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
