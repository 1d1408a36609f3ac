"""What /diagnostics says of the node: a level, a line and values, from what happened to frames and from what stands.

A level lasts as long as what it is about: a frame's problem until a frame is answered without one, a failed configure
until the next, and a condition (of the detector, of /clock) as long as it holds.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from pose_node.types import Rejected, Track

Word = tuple[bytes, str]  # a level, and the line that says why
_OVERTAKEN = ("superseded", "other_source")  # another frame served: nothing is wrong
_UNUSABLE = ("no_points", "out_of_reach", "not_finite", "internal")  # of rejections: the whole frame is lost
_DETECTOR = "detector_"


class Status:
    """Facts, counts and sentences since activation, and the last frame's times. Safe between threads."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._halted: Word | None = None
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
            self._news: Word | None = None  # the worst since the last report
            self._frame: Word | None = None  # of the last frame, until one is well
            self._seen = 0

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
            self._refused(code, sentence, None if code in _OVERTAKEN else DiagnosticStatus.WARN)

    def warn(self, code: str, sentence: str) -> None:
        """A frame was used, with a reservation."""
        with self._lock:
            self._counts[f"warned.{code}"] += 1
            self._sentences[code] = sentence
            self._tell(DiagnosticStatus.WARN, f"{code}: {sentence}")

    def failed(self, code: str, sentence: str) -> None:
        """Something went wrong with a frame that no input explains."""
        with self._lock:
            self._refused(code, sentence, DiagnosticStatus.ERROR)

    def halted(self, code: str, sentence: str) -> None:
        """The node cannot work until it is configured again."""
        with self._lock:
            self._last_refusal = f"{code}: {sentence}"
            self._halted = (DiagnosticStatus.ERROR, self._last_refusal)

    def configured(self) -> None:
        """What halted the node is over."""
        with self._lock:
            self._halted = None

    def answered(
        self, poses: int, rejected: Sequence[Rejected], stages: dict[str, float], total_s: float, latency_s: float
    ) -> None:
        """A frame went through the chain."""
        with self._lock:
            self._frame = None
            self._counts["frames_processed"] += 1
            self._counts["poses"] += poses
            for one in rejected:
                self._counts[f"rejected.{one.code}"] += 1
                self._sentences[one.code] = one.reason
                if one.code in _UNUSABLE:
                    self._frame = (DiagnosticStatus.WARN, f"{one.code}: {one.reason}")
                if one.code in _UNUSABLE or one.code.startswith(_DETECTOR):
                    self._tell(DiagnosticStatus.WARN, f"{one.code}: {one.reason}")
            self._times = {f"stage_ms.{name}": 1000.0 * seconds for name, seconds in stages.items()}
            self._times["total_ms"] = 1000.0 * total_s
            self._times["latency_ms"] = 1000.0 * latency_s

    def tracked(self, tracks: Sequence[Track]) -> None:
        """How the tracks stand after a frame."""
        with self._lock:
            states = Counter(track.state for track in tracks)
            self._tracks = {f"tracks.{state}": states[state] for state in ("tentative", "confirmed", "lost")}
            for track in tracks:
                told = track.note or track.reason
                name = f"track.{track.track_id}.{track.object_name}"
                self._tracks[name] = f"{track.state}{', ' if told else ''}{told}"

    def report(self, state: str, conditions: Sequence[Word]) -> tuple[bytes, str, dict[str, Any]]:
        """Level, one line, and all values; asking clears what was new. conditions: what holds now, by itself."""
        with self._lock:
            news, self._news = self._news, None
            arrived = self._counts["frames_received"] > self._seen
            self._seen = self._counts["frames_received"]
            values = {
                "state": state,
                **self.facts,
                **dict(sorted(self._counts.items())),
                **{f"sentence.{code}": sentence for code, sentence in sorted(self._sentences.items())},
                **self._times,
                **self._tracks,
                "last_refusal": self._last_refusal,
            }
            words = [word for word in (self._halted, news, *conditions) if word is not None]
            if state == "active" and not arrived:
                last = "" if self._frame is None else f"; the last one: {self._frame[1]}"
                words.append((DiagnosticStatus.WARN, f"no measurement arrived since the last report{last}"))
            elif state == "active" and self._frame is not None:
                words.append(self._frame)
        level, line = max(words, key=lambda word: word[0], default=(DiagnosticStatus.OK, state))
        return level, line, values

    def _refused(self, code: str, sentence: str, level: bytes | None) -> None:
        self._counts["frames_refused"] += 1
        self._counts[f"refused.{code}"] += 1
        self._sentences[code] = sentence
        self._last_refusal = f"{code}: {sentence}"
        if level is not None:
            self._frame = (level, self._last_refusal)
            self._tell(level, self._last_refusal)

    def _tell(self, level: bytes, line: str) -> None:
        if self._news is None or self._news[0] <= level:
            self._news = (level, line)
