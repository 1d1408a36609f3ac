"""``python -m pose_node.ros.demo``: run the node on a real recording, and draw a picture of the poses.

Three processes that talk over DDS, as on a robot: the player publishes like a camera, the node runs, this one subscribes.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pose_node import drawing
from pose_node.errors import PoseNodeError
from pose_node.geometry import se3
from pose_node.objects.card import ObjectCard, load_card
from pose_node.objects.folders import object_folders
from pose_node.ros.demo import processes, recording
from pose_node.ros.demo.watch import Answer, Watch


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo. Exit code 0 when poses arrived, 2 for bad usage, 3 when the node answered without a pose."""
    parser = argparse.ArgumentParser(prog="script/demo", description="Replay a real recording into the ROS 2 node.")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to watch (default 20)")
    parser.add_argument(
        "--at-most", type=float, default=120.0, help="stop after so many seconds even without poses (default 120)"
    )
    parser.add_argument(
        "--models", default="", help="folder of the object folders (default ./models, else the installed ones)"
    )
    parser.add_argument("--objects", nargs="*", default=[], help="names of the objects to search for (default all)")
    parser.add_argument(
        "--picture", type=Path, default=Path("demo.png"), help="file to write the picture to (default demo.png)"
    )
    options = parser.parse_args(argv)
    try:
        cards = {folder.name: load_card(folder) for folder in object_folders(options.models, options.objects)}
    except PoseNodeError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    print(
        f"Searching for {', '.join(cards)} in {len(recording.scenes())} real scenes (YCB-Video, depth only).",
        flush=True,
    )
    answers = _run(options, list(cards))
    if not any(answer.found for answer in answers):
        print(
            "demo: found no pose in the node's answers." if answers else "demo: the node did not answer.",
            file=sys.stderr,
        )
        return 3
    _summary(answers, cards)
    _picture(answers, cards, options.picture)
    print(f"Picture of the last poses: {options.picture.resolve()}")
    return 0


def _run(options: argparse.Namespace, names: list[str]) -> list[Answer]:
    """Run player and node; the last answer for each scene."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that SIGTERM, too, ends the child processes
    env = processes.environment()
    os.environ.update({key: value for key, value in env.items() if key.startswith("ROS_")})
    folder = object_folders(options.models, names)[0].parent.resolve()
    arguments = ["--ros-args", "-p", f"models:={folder}", "-p", f"objects:=[{', '.join(names)}]", "-p", "input:=depth"]
    with (
        processes.Child("pose_node.ros.node", arguments, env) as node,
        processes.Child("pose_node.ros.demo.player", [], env, read=True) as player,
        Watch() as watch,
    ):
        threading.Thread(target=watch.read_player, args=(player.process.stdout,), daemon=True).start()
        try:
            for second in _seconds():
                print(watch.progress_line(second), flush=True)
                if not node.running() or not player.running():
                    print("demo: the node or the player ended early.", file=sys.stderr)
                    break
                answers = watch.answers()
                seen = len(answers) == len(recording.scenes()) and any(answer.found for answer in answers)
                if (second >= options.seconds and seen) or second >= options.at_most:
                    break
        except KeyboardInterrupt:
            print("stopping")
        return watch.answers()


def _seconds() -> Iterator[int]:
    """1, 2, 3, ... once a second."""
    started_s, second = time.monotonic(), 0
    while True:
        second += 1
        time.sleep(max(started_s + second - time.monotonic(), 0.0))
        yield second


def _summary(answers: list[Answer], cards: dict[str, ObjectCard]) -> None:
    """Print the last poses, and how far they are from the data set's labels."""
    ids = {card.bop_id: name for name, card in cards.items()}
    print(
        "\nThe last answer of each scene, in metres in the camera's optical frame, and its distance to the data set's label:"
    )
    for answer in answers:
        labels = {ids[bop_id]: T for bop_id, T in answer.frame.labels if bop_id in ids}
        for found in answer.found:
            centre = cards[found.name].centre_m
            where = se3.apply(found.T_camera_object, centre[None])[0]
            distance = "not labelled"
            if found.name in labels:
                off_m = float(((where - se3.apply(labels[found.name], centre[None])[0]) ** 2).sum() ** 0.5)
                distance = f"{1000 * off_m:.1f} mm from the label"
            x, y, z = where
            print(
                f"  scene {answer.frame.scene}  {found.name:18} ({x:+.3f}, {y:+.3f}, {z:.3f})  score {found.score:.2f}  {distance}"
            )
        for name in sorted(labels.keys() - {found.name for found in answer.found}):
            print(f"  scene {answer.frame.scene}  {name:18} labelled, not found")


def _picture(answers: list[Answer], cards: dict[str, ObjectCard], path: Path) -> None:
    images = []
    for answer in sorted(answers, key=lambda a: a.frame.scene, reverse=True):
        instances = [
            drawing.Instance(
                f"{found.name} {found.score:.2f}",
                found.T_camera_object,
                cards[found.name].surface.points_m,
                cards[found.name].surface.normals,
            )
            for found in answer.found
        ]
        title = f"YCB-Video scene {answer.frame.scene}, frame {answer.frame.number}"
        images.append(drawing.draw(answer.frame.depth_m, answer.frame.K, instances, title))
    drawing.side_by_side(images).save(path)


if __name__ == "__main__":
    sys.exit(main())
