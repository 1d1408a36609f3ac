"""A bag of 1,000 real frames through ``pose_node evaluate``: frames a second with one process and two, memory, and bytes.

    python -m benchmarks.long_bag            -> results/long_bag.json (eight minutes; needs the extra ray, and two free cores)

The bag repeats the demo's frames of one object, with masks. Rates, cores and memory are taken from the hundredth frame
(``--frames``: from the first tenth) to the last, to exclude start-up. Memory is that of the command and its workers: the mean
over the first hundred of these frames against the mean over the last. ``growth_max`` is that of the process that grows most.
``same_bytes``: whether everything written, except times, equals what one process writes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks import results
from benchmarks.labelled_bag import demo_frames, write_labelled_bag
from pose_node.evaluation.run_folder import FRAMES, RESULTS, RUN, SUMMARY

OBJECT, ID, SCENE = "mustard_bottle", 5, "000002"
FRAMES_ALL = 1000
WAYS = {"jobs_1": ("--jobs", "1"), "jobs_2": ("--jobs", "2"), "ray": ("--ray", "local", "--jobs", "2")}
_EVERY_S = 0.2


class Sample(NamedTuple):
    """One sample of a running command: frames written, seconds and CPU seconds of all its processes, MB of each by its number,
    and each core's (busy, all) seconds."""

    frames: int
    at_s: float
    cpu_s: float
    resident_mb: dict[int, float]
    cores: Sequence[tuple[float, float]]


def without_times(run: Path) -> tuple[Any, ...]:
    """The contents of a run folder without times."""
    frames = [json.loads(line) for line in (run / FRAMES).read_text().splitlines()]
    for frame in frames:
        del frame["time_s"], frame["stage_s"]
    figures = json.loads((run / SUMMARY).read_text())["all"]["figures"]
    figures = {key: figure for key, figure in figures.items() if key != "time_s" and not key.startswith("stage_")}
    rows = [line.rsplit(",", 1)[0] for line in (run / RESULTS).read_text().splitlines()]
    return frames, figures, rows, (run / RUN).read_bytes(), (run / "poses.mcap").read_bytes()


def watched(bag: Path, out: Path, words: Sequence[str]) -> list[Sample]:
    """Evaluate the bag and sample its processes; raises CalledProcessError when the command fails."""
    command = [sys.executable, "-m", "pose_node", "evaluate", str(bag), "--out", str(out), *words]
    command += ["--objects", OBJECT, "--labels", f"{ID}={OBJECT}"]
    with subprocess.Popen(command, cwd=results.ROOT, stdout=subprocess.DEVNULL) as running:
        samples = list(_samples(running, out / FRAMES))
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)
    return samples


def _samples(running: Any, written: Path) -> Iterator[Sample]:
    process = psutil.Process(running.pid)
    frames = position = 0
    while running.poll() is None:
        time.sleep(_EVERY_S)
        if written.is_file():
            with written.open("rb") as file:
                file.seek(position)
                new = file.read()
            position, frames = position + len(new), frames + new.count(b"\n")
        cpu_s, resident_mb = 0.0, {}
        try:
            for one in (process, *process.children(recursive=True)):
                times = one.cpu_times()
                cpu_s += times.user + times.system
                resident_mb[one.pid] = one.memory_info().rss / 2**20
        except psutil.NoSuchProcess:
            continue  # one of them ended meanwhile
        cores = [(sum(c) - c.idle - c.iowait, sum(c)) for c in psutil.cpu_times(percpu=True)]
        yield Sample(frames, time.perf_counter(), cpu_s, resident_mb, cores)


def figures_of(samples: Sequence[Sample], frames: int) -> dict[str, float]:
    """frames_per_s, cpu_share (of all cores, by the command's own processes), core_busy_min (by any process), resident_mb,
    memory_growth and memory_growth_max, from the tenth part of the frames until before the last. Raises ValueError with fewer than
    two samples in between."""
    window = [s for s in samples if frames // 10 <= s.frames < frames]  # at the last frame workers may be gone already
    if len(window) < 2:
        raise ValueError(f"found {len(window)} samples of the command, expected more frames than {frames}.")
    first, end = window[0], window[-1]
    seconds = end.at_s - first.at_s
    early = [s.resident_mb for s in window if s.frames <= first.frames + frames // 10]
    late = [s.resident_mb for s in window if s.frames >= frames - frames // 10]
    mean = {pid: [np.mean([mb.get(pid, 0.0) for mb in part]) for part in (early, late)] for pid in end.resident_mb}
    growth = [after / before - 1.0 for before, after in mean.values() if before]
    before, after = np.sum(list(mean.values()), axis=0)
    busy = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(first.cores, end.cores)]
    return {
        "frames_per_s": (end.frames - first.frames) / seconds,
        "cpu_share": (end.cpu_s - first.cpu_s) / seconds / len(end.cores),
        "core_busy_min": min(busy),
        "resident_mb": float(after),
        "memory_growth": float(after / before - 1.0),
        "memory_growth_max": float(max(growth)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=FRAMES_ALL)
    options = parser.parse_args(arguments)
    figures: dict[str, float] = {"frames": options.frames}
    with TemporaryDirectory() as place:
        frames = list(islice(cycle(demo_frames(SCENE)), options.frames))
        bag = write_labelled_bag(Path(place) / "long", frames)
        whole: tuple[Any, ...] = ()
        for way, words in WAYS.items():
            found = figures_of(watched(bag, Path(place) / way, words), options.frames)
            if way == "ray":  # memory of Ray's own processes is not counted
                found = {"frames_per_s": found["frames_per_s"]}
            content = without_times(Path(place) / way)
            whole = whole or content
            if way != "jobs_1":
                found["same_bytes"] = int(content == whole)
            for key, value in found.items():
                print(f"{way}_{key}: {value:.4g}", flush=True)
                figures[f"{way}_{key}"] = value
    figures["jobs_2_times_faster"] = figures["jobs_2_frames_per_s"] / figures["jobs_1_frames_per_s"]
    print(f"jobs_2_times_faster: {figures['jobs_2_times_faster']:.4g}")
    if options.frames == FRAMES_ALL:
        results.write_result("long_bag", "python -m benchmarks.long_bag", figures)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
