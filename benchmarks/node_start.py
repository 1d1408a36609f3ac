"""The time from the node's start until it is ready with one object, and its memory then.

python -m benchmarks.node_start          -> results/node_start.json (needs the ROS side)
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks import results, ros_node

OBJECT = "mustard_bottle"
STARTS = 5


def start_once() -> tuple[float, float]:
    """Seconds from the start of the process to its state "active", and its resident memory in MB then."""
    command = ros_node.command([OBJECT])
    begun = time.perf_counter()
    with subprocess.Popen(
        command, cwd=results.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as node:
        try:
            assert node.stdout is not None
            if not any(line.rstrip().endswith(": active") for line in node.stdout):
                raise RuntimeError("the node ended before it was active")
            seconds = time.perf_counter() - begun
            status = Path(f"/proc/{node.pid}/status").read_text()
        finally:
            node.terminate()
    return seconds, int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    seconds, memory = zip(*(start_once() for _ in range(STARTS)))
    figures = {"starts": STARTS, "ready_s_max": max(seconds), "ready_s_p50": results.percentile(seconds, 50)}
    figures["resident_mb_max"] = max(memory)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    results.write_result("node_start", "python -m benchmarks.node_start", figures)


if __name__ == "__main__":
    main()
