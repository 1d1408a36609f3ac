"""What /diagnostics says of the node: a level, a line and values, from events (of frames) and conditions (that hold now).

A level lasts as long as its cause: a frame's problem until a frame is answered without one, a failed configure until the
next, and a condition (of the detector, of /clock) as long as it holds.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from pose_node.ros.detector_process import DetectorProcess
from pose_node.ros.worker import Worker
from pose_node.types import Rejected, Track

StatusLine = tuple[bytes, str]  # a level, and the line that says why
_SUPERSEDED = ("superseded", "other_source")  # another frame was used instead: nothing is wrong
_UNUSABLE = ("no_points", "out_of_reach", "not_finite", "internal")  # rejections that concern the whole frame
_DETECTOR = "detector_"


class Status:
    """Facts, counts and sentences since activation, and the last frame's times. Safe between threads."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._halted: StatusLine | None = None
        self._reload_refused: StatusLine | None = None
        self._last_reload = ""
        self.begin()

    def begin(self) -> None:
        """Count from zero."""
        with self._lock:
            self._counts: Counter[str] = Counter(
                {"frames_received": 0, "frames_processed": 0, "frames_refused": 0, "frames_superseded": 0, "poses": 0}
            )
            self._sentences: dict[str, str] = {}
            self._times: dict[str, float] = {}
            self._tracks: dict[str, Any] = {}
            self._last_refusal = ""
            self._worst_unreported: StatusLine | None = None
            self._last_frame: StatusLine | None = None  # its problem, until a frame has none
            self._received_at_report = 0

    def count(self, key: str) -> None:
        """One more of ``key``."""
        with self._lock:
            self._counts[key] += 1

    def refused(self, code: str, sentence: str) -> None:
        """A frame was not used."""
        with self._lock:
            if code == "superseded":
                self._counts["frames_superseded"] += 1
                return
            self._refused(code, sentence, None if code in _SUPERSEDED else DiagnosticStatus.WARN)

    def warn(self, code: str, sentence: str) -> None:
        """A frame was used, and something about it is doubtful."""
        with self._lock:
            self._counts[f"warned.{code}"] += 1
            self._sentences[code] = sentence
            self._note(DiagnosticStatus.WARN, f"{code}: {sentence}")

    def failed(self, code: str, sentence: str) -> None:
        """A frame failed by an internal error."""
        with self._lock:
            self._refused(code, sentence, DiagnosticStatus.ERROR)

    def halted(self, code: str, sentence: str) -> None:
        """The node cannot work until it is configured again."""
        with self._lock:
            self._last_refusal = f"{code}: {sentence}"
            self._halted = (DiagnosticStatus.ERROR, self._last_refusal)

    def configured(self) -> None:
        """The node is configured: what halted it is resolved."""
        with self._lock:
            self._halted = self._reload_refused = None
            self._last_reload = ""

    def reloaded(self, sentence: str) -> None:
        """The node uses other objects, or found that none has changed."""
        with self._lock:
            self._last_reload, self._reload_refused = sentence, None

    def reload_refused(self, sentence: str) -> None:
        """The node goes on with the objects that it had."""
        with self._lock:
            self._last_reload = f"refused: {sentence}"
            line = f"reload_refused: {sentence}"
            self._reload_refused = (DiagnosticStatus.WARN, line)

    def answered(
        self, poses: int, rejected: Sequence[Rejected], stage_s: Mapping[str, float], total_s: float, latency_s: float
    ) -> None:
        """A frame went through the chain."""
        with self._lock:
            self._last_frame = None
            self._counts["frames_processed"] += 1
            self._counts["poses"] += poses
            for one in rejected:
                self._counts[f"rejected.{one.code}"] += 1
                self._sentences[one.code] = one.reason
                if one.code in _UNUSABLE:
                    self._last_frame = (DiagnosticStatus.WARN, f"{one.code}: {one.reason}")
                if one.code in _UNUSABLE or one.code.startswith(_DETECTOR):
                    self._note(DiagnosticStatus.WARN, f"{one.code}: {one.reason}")
            self._times = {f"stage_ms.{name}": 1000.0 * seconds for name, seconds in stage_s.items()}
            self._times["total_ms"] = 1000.0 * total_s
            self._times["latency_ms"] = 1000.0 * latency_s

    def tracked(self, tracks: Sequence[Track]) -> None:
        """The tracks after a frame."""
        with self._lock:
            states = Counter(track.state for track in tracks)
            self._tracks = {f"tracks.{state}": states[state] for state in ("tentative", "confirmed", "lost")}
            for track in tracks:
                why = track.note or track.reason
                name = f"track.{track.track_id}.{track.object_name}"
                self._tracks[name] = f"{track.state}, {why}" if why else track.state

    def report(self, state: str, conditions: Sequence[StatusLine]) -> tuple[bytes, str, dict[str, Any]]:
        """Level, one line, and all values since activation; each event raises the level of one report.

        state: of the lifecycle. conditions: what holds now, apart from frames.
        """
        with self._lock:
            worst, self._worst_unreported = self._worst_unreported, None
            arrived = self._counts["frames_received"] > self._received_at_report
            self._received_at_report = self._counts["frames_received"]
            values = {
                "state": state,
                **self.facts,
                **dict(sorted(self._counts.items())),
                **{f"sentence.{code}": sentence for code, sentence in sorted(self._sentences.items())},
                **self._times,
                **self._tracks,
                "last_refusal": self._last_refusal,
                "last_reload": self._last_reload,
            }
            lines = [line for line in (self._halted, worst, self._reload_refused, *conditions) if line is not None]
            if state == "active" and not arrived:
                last = "" if self._last_frame is None else f"; the last one: {self._last_frame[1]}"
                lines.append((DiagnosticStatus.WARN, f"no measurement arrived since the last report{last}"))
            elif state == "active" and self._last_frame is not None:
                lines.append(self._last_frame)
        level, line = max(lines, key=lambda line: line[0], default=(DiagnosticStatus.OK, state))
        return level, line, values

    def _refused(self, code: str, sentence: str, level: bytes | None) -> None:
        self._counts["frames_refused"] += 1
        self._counts[f"refused.{code}"] += 1
        self._sentences[code] = sentence
        self._last_refusal = f"{code}: {sentence}"
        if level is not None:
            self._last_frame = (level, self._last_refusal)
            self._note(level, self._last_refusal)

    def _note(self, level: bytes, line: str) -> None:
        """Keep the worst line for the next report; of equal ones the newest."""
        if self._worst_unreported is None or self._worst_unreported[0] <= level:
            self._worst_unreported = (level, line)


def conditions(
    detector: DetectorProcess | None, worker: Worker[Any], is_active: bool, has_time: bool
) -> tuple[list[StatusLine], dict[str, Any]]:
    """What holds now, apart from frames: a line for each problem, and values.

    has_time: false while use_sim_time waits for the first message on /clock.
    """
    lines: list[StatusLine] = []
    values: dict[str, Any] = {}
    if not has_time:
        line = "no_clock: parameter use_sim_time: found true and no message on /clock, expected one."
        lines.append((DiagnosticStatus.WARN, line))
    if detector is not None:
        condition = detector.condition()
        values = {"detector": condition.doing, "detector.failures": condition.failures}
        values["detector.problem"] = condition.problem
        if condition.problem:
            lines.append((DiagnosticStatus.WARN, condition.problem))
    busy_s = worker.busy_s()
    if busy_s is not None:
        values["working_s"] = busy_s
        if not is_active:
            line = f"inactive; an earlier frame has been in work for {busy_s:.0f} s, its answer will be dropped"
            lines.append((DiagnosticStatus.OK, line))
    return lines, values
