"""``results.csv`` in the format of the BOP challenge: scene_id,im_id,obj_id,score,R,t,time.

R: nine numbers row by row; t: millimetres; time: seconds for the whole image, -1 where unknown. T_camera_object, as BOP's
"model to camera". Format: https://bop.felk.cvut.cz/challenges/, section "Format of results".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from pose_node.evaluation.records import FrameRecord
from pose_node.evaluation.run_folder import RESULTS


class ResultsCsv:
    """Appends to ``results.csv`` of a run folder; a context manager. Estimates of objects without an id are left out."""

    def __init__(self, folder: str | Path, ids: Mapping[str, int]) -> None:
        self.ids = dict(ids)
        self._file = (Path(folder) / RESULTS).open("w", encoding="utf-8")
        self._file.write("scene_id,im_id,obj_id,score,R,t,time\n")

    def frame(self, record: FrameRecord) -> None:
        """A line per estimate. The format has no scenes and frames without a number, such as range scans."""
        if not (record.scene.isdigit() and record.frame.isdigit()):
            return
        for e in record.estimates:
            if e.object_name in self.ids:
                R = " ".join(repr(float(v)) for v in e.T_camera_object[:3, :3].ravel())
                t = " ".join(repr(float(1000.0 * v)) for v in e.T_camera_object[:3, 3])
                key = f"{int(record.scene)},{int(record.frame)},{self.ids[e.object_name]}"
                self._file.write(f"{key},{float(e.score)!r},{R},{t},{record.time_s!r}\n")
        self._file.flush()

    def __enter__(self) -> ResultsCsv:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
