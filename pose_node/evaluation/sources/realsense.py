"""What recordings of the RealSense SDK and its Viewer say beside their images: how many metres a count of depth stands for."""

from __future__ import annotations

import re

from pose_node.evaluation.sources.recordings import Recording

_SENSOR = re.compile(r"/device_\d+/sensor_\d+(?=/)")
_UNITS = ("Depth Units", "Depth_Units")  # by version of the SDK
_USUAL_M = 0.001


def depth_units_m(recording: Recording, depth: str, notes: list[str]) -> float | None:
    """Metres a count of a depth topic /device_N/sensor_N/Depth_N/...; None for any other topic.

    Where the recording does not say, the cameras' usual millimetre serves, with a note.
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
    notes.append(f"{depth}: found no depth units of {sensor[0]}, took the usual {_USUAL_M:g} m a count.")
    return _USUAL_M
