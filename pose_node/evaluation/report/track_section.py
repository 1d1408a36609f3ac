"""The section of a report that shows a run's tracks, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.evaluation.figures.sightings import FLIP_RAD
from pose_node.evaluation.figures.tracks import SPREAD_PERCENTILE, TrackPath
from pose_node.evaluation.report import page
from pose_node.evaluation.report.track_charts import MOST, SIGMAS, track_charts
from pose_node.evaluation.report.track_lanes import time_line
from pose_node.evaluation.report.track_table import track_table

EXPLANATIONS = (
    "A track is one object over time under one name, which is the object's with a number. It is tentative until it was seen in "
    "enough frames and is likely right (its score, and how often detections found it again, say so), and lost when no frame showed it for a while; what is found again keeps its name.",
    f"Spread of a track is the {SPREAD_PERCENTILE:.0f}th percentile over its confirmed frames: the distance of the object's "
    "origin from its median in the fixed frame, and the turn from its middle orientation; farthest is the largest of each. A flip is a "
    f"turn by more than {np.degrees(FLIP_RAD):.0f}° from one confirmed frame to the next. Stated 1σ is what the track's covariance "
    "says, in the median of these frames: along the best and the worst known direction, for the position and for the turn. "
    "Spread is how much a pose wavers; 1σ is how far off it may be, so of a thing that stands still it is the larger. About "
    "the axis of a round object, or of one whose handle is hidden, the turn is stated as unknown: 1σ is then up to 104°.",
    f"Charts of a track show its pose along each axis of the fixed frame. The shaded band is {SIGMAS:g} stated σ to either side; one "
    "that fills its chart says that nothing is known about this axis. Times of being lost are gaps. The pose is the one that "
    "the track states: of those that the object's symmetries make equal, the nearest to the one before.",
)


def track_section(paths: Sequence[TrackPath]) -> str:
    """A table, a time line of states, and each track's pose over time, of the ``MOST`` that were confirmed most."""
    drawn = f"Of {len(paths)} tracks, the {MOST} that were confirmed in the most frames:"
    if all(path.seconds[0] == path.seconds[-1] for path in paths):  # a frame alone has no course over time
        return page.section("Tracks", track_table(paths))
    return page.section(
        "Tracks",
        track_table(paths),
        time_line(paths),
        page.paragraph(drawn, "soft") if len(paths) > MOST else "",
        page.grid(track_charts(paths)),
    )
