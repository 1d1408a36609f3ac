"""Depth units in recordings of the RealSense SDK and its Viewer: metres per count."""

from __future__ import annotations

import re

from pose_node.evaluation.sources.recordings import Recording

_SENSOR = re.compile(r"/device_\d+/sensor_\d+(?=/)")
_UNITS = ("Depth Units", "Depth_Units")  # by version of the SDK
_DEFAULT_M = 0.001


def depth_units_m(recording: Recording, depth: str, notes: list[str]) -> float | None:
    """Metres per count of a depth topic /device_N/sensor_N/Depth_N/...; None for any other topic.

    Where the recording does not state them, the cameras' default of a millimetre is used, with a note.
    """
    sensor = _SENSOR.match(depth)
    if sensor is None:
        return None
    for name in _UNITS:
        value = recording.first(f"{sensor[0]}/option/{name}/value")
        if value is not None and value.data > 0.0:
            return float(value.data)
    for message in recording.messages([f"{sensor[0]}/property"]):  # versions before options had topics
        if str(getattr(message.message, "key", "")) in _UNITS:
            return float(message.message.value)
    notes.append(f"{depth}: found no depth units of {sensor[0]}, took the default of {_DEFAULT_M:g} m per count.")
    return _DEFAULT_M
