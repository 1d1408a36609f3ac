"""The node's memory over an hour of frames and a thousand deactivations and activations.

    python -m benchmarks.soak               -> results/soak.json (an hour and some minutes; needs the ROS side and tf2_msgs)

First 1,000 times ``deactivate`` and ``activate`` by the lifecycle service; then ``node_rate``'s recording at 10 Hz for an hour,
tracked in the camera's own frame with the detector process. Growth is the resident memory's mean in the last tenth against that
in the second tenth (the first fills caches), and the same of its maximum; of the node and of its detector. Means, not medians:
memory alternates between two levels, with or without a frame's arrays, and a median jumps from one to the other.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from benchmarks import results, ros_node
from benchmarks.node_rate import Camera, tracking

OBJECT = "mustard_bottle"
CYCLES, HOURS, RATE_HZ, LOOK_S = 1000, 1.0, 10.0, 2.0


def growth(memory: Sequence[float], of: Callable[[Sequence[float]], float] = statistics.fmean) -> float:
    """``of`` the last tenth relative to that of the second tenth, minus one."""
    tenth = max(len(memory) // 10, 1)
    return of(memory[-tenth:]) / of(memory[tenth : 2 * tenth] or memory[:1]) - 1.0


def resident_mb(pid: int) -> tuple[float, float]:
    """Of the process, and of its children together."""
    process = psutil.Process(pid)
    children = sum(child.memory_info().rss for child in process.children(recursive=True))
    return process.memory_info().rss / 2**20, children / 2**20


def cycle(camera: Camera, pid: int, cycles: int) -> dict[str, float]:
    """Figures of so many deactivations and activations."""
    from lifecycle_msgs.msg import Transition

    memory, refused = [], 0
    begin = time.perf_counter()
    for _ in range(cycles):
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
            refused += not camera.change_state(transition)
        memory.append(resident_mb(pid)[0])
    return {
        "cycles": cycles,
        "cycles_refused": refused,
        "cycles_growth": growth(memory),
        "cycle_ms": 1000.0 * (time.perf_counter() - begin) / max(cycles, 1),
    }


def run_for(camera: Camera, pid: int, seconds: float) -> dict[str, float]:
    """Figures of so many seconds of frames."""
    node_mb, detector_mb = [], []
    camera.received.clear()
    sent = camera.sent
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        camera.run(min(LOOK_S, seconds))
        mine, child = resident_mb(pid)
        node_mb.append(mine)
        detector_mb.append(child)
        if len(node_mb) % 30 == 0:
            print(f"{int(end - time.perf_counter())} s left, {mine:.0f} MB and {child:.0f} MB", flush=True)
    poses = [count for *_, count in camera.received]
    return {
        "seconds": seconds,
        "frames": camera.sent - sent,
        "answered": len(poses) / (camera.sent - sent),
        "with_pose": sum(count > 0 for count in poses) / max(len(poses), 1),
        "node_mb": node_mb[-1],
        "node_growth": growth(node_mb),
        "node_peak_growth": growth(node_mb, max),
        "detector_mb": detector_mb[-1],
        "detector_growth": growth(detector_mb),
        "detector_peak_growth": growth(detector_mb, max),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("--hours", type=float, default=HOURS)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    camera = Camera(RATE_HZ)
    with tempfile.TemporaryFile() as log:
        node = ros_node.start(tracking([OBJECT]), log)
        try:
            camera.masked(True)
            camera.run(120.0, enough=1)
            figures = cycle(camera, node.pid, options.cycles)
            print(figures, flush=True)
            camera.run(120.0, enough=1)
            camera.masked(False)
            figures |= run_for(camera, node.pid, 3600.0 * options.hours)
        finally:
            node.terminate()
            node.wait(30)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if (options.cycles, options.hours) == (CYCLES, HOURS):
        results.write_result("soak", "python -m benchmarks.soak", figures, options.output)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
