"""Messages by attributes, and the check of a refusal, for the tests of this folder."""

from __future__ import annotations

from types import SimpleNamespace as Message

from pose_node.errors import InputError


def header(stamp_ns: int = 5_000_000_007, frame_id: str = "camera") -> Message:
    return Message(stamp=Message(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=frame_id)


def info_message(**changes) -> Message:
    """A CameraInfo of a 64 x 48 pinhole camera."""
    values = {
        "header": header(), "height": 48, "width": 64, "distortion_model": "plumb_bob", "d": [0.0] * 5,
        "k": [60.0, 0.0, 31.5, 0.0, 61.0, 23.5, 0.0, 0.0, 1.0], "r": [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        "p": [60.0, 0.0, 31.5, 0.0, 0.0, 61.0, 23.5, 0.0, 0.0, 0.0, 1.0, 0.0], "binning_x": 0, "binning_y": 0,
        "roi": Message(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    }  # fmt: skip
    return Message(**{**values, **changes})


def refused(code: str, *words: str):
    """The refusal with this code, whose sentence has these words."""

    class Refusal:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            assert isinstance(error, InputError), f"found {error!r}, expected an InputError"
            assert error.code == code
            for word in words:
                assert word in str(error)
            assert str(error).endswith(".")
            assert "\n" not in str(error)
            return True

    return Refusal()
