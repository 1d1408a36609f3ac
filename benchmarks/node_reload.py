"""How long the tracking node takes to load a new object folder while it runs, and which frame rate it keeps meanwhile.

    python -m benchmarks.node_reload        -> results/node_reload.json (needs the ROS side and tf2_msgs)

Set-up as in ``node_rate`` with one object: 640x480 depth at 30 Hz over DDS without masks, a static camera, the detector's process.
In turns a second object's folder, which the scene does not show, is copied into the models folder and removed again, and
``~/reload_objects`` is called. A call's time is from the request to its response, when the next frame is searched for the new
object. While an object is added: answers a second and their share of the frames sent, the longest time between two answers, and the
share of answers with the pose of the object that is tracked all the while. The same without a reload stands beside it.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import results, ros_node
from benchmarks.node_rate import FRAME_ID, OBJECTS, RATE_HZ, WARM_S, Camera

TRACKED, ADDED = "mustard_bottle", "sugar_box"
ROUNDS, BETWEEN_S, PATIENCE_S = 10, 4.0, 120.0


class Reloads:
    """Calls the service, and keeps what was answered meanwhile."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self.took_s: list[float] = []
        self._periods: list[tuple[float, int, list[tuple[float, float, int]]]] = []  # seconds, frames sent, answers

    def watch(self, seconds: float) -> None:
        """Keep the answers of so many seconds."""
        self._keep(lambda: self._camera.run(seconds))

    def reload(self) -> None:
        """Keep the answers until the service has answered. RuntimeError when it refuses."""
        from std_srvs.srv import Trigger

        future = self._camera.call(Trigger, "reload_objects", Trigger.Request())
        self._keep(lambda: self._camera.run(PATIENCE_S, until=future.done))
        if not future.done() or not future.result().success:
            raise RuntimeError(f"reload_objects: {future.result().message if future.done() else 'no answer'}")
        self.took_s.append(self._periods[-1][0])

    def figures(self, name: str) -> dict[str, float]:
        """Of all that was kept."""
        seconds = sum(period for period, *_ in self._periods)
        sent = sum(frames for _, frames, _ in self._periods)
        answers = [answer for *_, received in self._periods for answer in received]
        gaps_s = [b[0] - a[0] for *_, received in self._periods for a, b in pairwise(received)]
        return {
            f"{name}_hz": len(answers) / seconds,
            f"{name}_answered": len(answers) / sent,
            f"{name}_longest_gap_ms": 1000.0 * max(gaps_s),
            f"{name}_tracked": results.share([poses > 0 for *_, poses in answers]),
        }

    def _keep(self, run: Any) -> None:
        self._camera.received.clear()
        sent, begin = self._camera.sent, time.perf_counter()
        run()
        self._periods.append((time.perf_counter() - begin, self._camera.sent - sent, list(self._camera.received)))


def measure(camera: Camera, models: Path, rounds: int) -> dict[str, float]:
    """Figures of one node that searches for all objects in ``models``, after so many additions and removals."""
    labels = f"['{OBJECTS[TRACKED]}:{TRACKED}']"
    all_there_are = ["''"]
    command = ros_node.command(
        all_there_are, models=str(models), input="depth", fixed_frame=FRAME_ID, mask_labels=labels
    )
    added, removed, steady = Reloads(camera), Reloads(camera), Reloads(camera)
    with tempfile.TemporaryFile() as log:
        node = ros_node.start(command, log)
        try:
            camera.masked(True)
            camera.run(WARM_S, enough=1)
            camera.masked(False)
            camera.run(BETWEEN_S)
            for _ in range(rounds):
                steady.watch(BETWEEN_S)
                shutil.copytree(results.ROOT / "models" / ADDED, models / ADDED)
                added.reload()
                camera.run(BETWEEN_S)
                shutil.rmtree(models / ADDED)
                removed.reload()
                camera.run(BETWEEN_S)
        finally:
            node.terminate()
            node.wait(30)
    return {
        "rounds": rounds,
        "sent_hz": RATE_HZ,
        "add_s_p50": results.percentile(added.took_s, 50),
        "add_s_max": max(added.took_s),
        "remove_s_p50": results.percentile(removed.took_s, 50),
        **added.figures("adding"),
        **steady.figures("steady"),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        shutil.copytree(results.ROOT / "models" / TRACKED, models / TRACKED)
        figures = measure(Camera(), models, options.rounds)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if options.rounds == ROUNDS:
        results.write_result("node_reload", "python -m benchmarks.node_reload", figures, options.output)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
