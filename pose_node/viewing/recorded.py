"""Draw a recording and its tracks, computed as by ``evaluate --track``."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TextIO

import numpy as np

from pose_node.errors import InputError
from pose_node.evaluation.records import Refusal
from pose_node.evaluation.runs.bag_run import track_frame
from pose_node.evaluation.runs.progress import progress
from pose_node.evaluation.sources.bags import BagFrames
from pose_node.pipeline import Pipeline
from pose_node.viewing.canvas import Canvas, Shown, meshes_of, open_viewer


def view_bag(bag: BagFrames, pipeline: Pipeline, save: Path | None = None, stream: TextIO | None = None) -> int:
    """Show a recording with its tracks in the viewer, or write a file for it; returns the number of frames with an object.

    bag, pipeline: as ``open_bag`` returns them. save: a Rerun file to write; without it a viewer is started, and InputError
    raised where there is no display.
    """
    canvas = Canvas(
        meshes_of([card.folder for card in pipeline.cards.values()]), bag.camera_is_fixed, open_viewer(save)
    )
    found = last_ns = 0
    counts: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    for frame in progress(bag, len(bag), stream):
        last_ns = frame.stamp_ns
        try:
            if frame.refused is not None:
                raise InputError(frame.refused.reason, frame.refused.code)
            step = track_frame(pipeline, frame, bag.camera_is_fixed)
        except InputError as error:
            canvas.log(frame.stamp_ns, f"frame refused: {error}", "WARN")
            counts[error.code] += 1
            reasons.setdefault(error.code, str(error))
            continue
        assert frame.cloud is not None  # else it was refused
        canvas.cloud(frame.cloud, np.asarray(step.T_fixed_camera))
        canvas.objects(frame.stamp_ns, [Shown.of(track) for track in step.tracks])
        found += any(track.estimate is not None for track in step.tracks)
    for note in bag.notes:
        canvas.log(last_ns, note)
        print(f"note: {note}", file=stream or sys.stderr)
    for code, count in counts.most_common():
        print(f"refused: {Refusal(code, count, reasons[code])}", file=stream or sys.stderr)
    return found
