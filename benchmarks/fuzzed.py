"""Malformed messages: fields of PointCloud2, Image, CameraInfo and TFMessage drawn at random, from nearly valid to absurd."""

from __future__ import annotations

from typing import Any

import numpy as np

ENCODINGS = ("16UC1", "32FC1", "mono8", "mono16", "rgb8", "8UC1", "64FC1", "", "16UC1; compressedDepth", "\u00fcber")
MODELS = ("plumb_bob", "rational_polynomial", "equidistant", "", "fisheye?")
FRAMES = ("camera", "world", "", "/camera", "a b", "camera" * 50)
ODD = (0.0, -1.0, 1.0, 1e-30, 1e30, float("nan"), float("inf"), -float("inf"), 525.0, 1e9)
SIDES = (0, 1, 2, 3, 7, 32, 64, 2**16, 2**32 - 1)


class Fuzzer:
    """Draws messages; the same seed draws the same ones. Their stamps stay below ``BELOW_S``, to distinguish them from valid ones."""

    BELOW_S = 900

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def message(self) -> tuple[str, Any]:
        """(topic, message): one of any kind."""
        kind = self._rng.integers(5)
        return (self._depth, self._info, self._points, self._mask, self._tf)[kind]()

    def _pick(self, options: Any) -> Any:
        return options[int(self._rng.integers(len(options)))]

    def _header(self) -> Any:
        from builtin_interfaces.msg import Time
        from std_msgs.msg import Header

        stamp = Time(sec=int(self._rng.integers(-5, self.BELOW_S)), nanosec=int(self._rng.integers(0, 2**32)))
        return Header(stamp=stamp, frame_id=self._pick(FRAMES))

    def _bytes(self, wanted: int) -> bytes:
        """About as many as are wanted: right, one too few, none, or any number."""
        length = self._pick((wanted, wanted, max(wanted - 1, 0), wanted + 3, 0, int(self._rng.integers(0, 5000))))
        return self._rng.bytes(min(length, 1 << 20))

    def _image(self) -> Any:
        from sensor_msgs.msg import Image

        encoding = self._pick(ENCODINGS)
        height, width = self._pick(SIDES), self._pick(SIDES)
        size = {"16UC1": 2, "mono16": 2, "32FC1": 4, "64FC1": 8, "rgb8": 3}.get(encoding, 1)
        image = Image(header=self._header(), height=height, width=width, encoding=encoding)
        image.step = min(self._pick((width * size, width * size + 5, 0, 1)), 2**32 - 1)
        image.is_bigendian = self._pick((0, 0, 1, 255))
        image.data = self._bytes(min(image.step * height, 1 << 20))
        return image

    def _depth(self) -> tuple[str, Any]:
        return "depth/image_rect", self._image()

    def _mask(self) -> tuple[str, Any]:
        return "mask", self._image()

    def _info(self) -> tuple[str, Any]:
        from sensor_msgs.msg import CameraInfo, RegionOfInterest

        info = CameraInfo(header=self._header(), height=self._pick(SIDES), width=self._pick(SIDES))
        info.distortion_model = self._pick(MODELS)
        info.d = [self._pick(ODD) for _ in range(self._pick((0, 4, 5, 8, 12)))]
        info.k = np.array([self._pick(ODD) for _ in range(9)])
        info.r = np.array([self._pick(ODD) for _ in range(9)])
        info.p = np.array([self._pick(ODD) for _ in range(12)])
        info.binning_x, info.binning_y = self._pick((0, 1, 2, 2**31)), self._pick((0, 1, 3))
        info.roi = RegionOfInterest(x_offset=self._pick((0, 5)), width=self._pick((0, 10)), height=self._pick((0, 10)))
        return "depth/camera_info", info

    def _points(self) -> tuple[str, Any]:
        from sensor_msgs.msg import PointCloud2, PointField

        cloud = PointCloud2(header=self._header(), height=self._pick(SIDES), width=self._pick(SIDES))
        names = self._pick((("x", "y", "z"), ("x", "y"), (), ("x", "y", "z", "rgb"), ("z", "y", "x"), ("X", "Y", "Z")))
        offset = self._pick((0, 4, 1000, 2**31))
        cloud.fields = [
            PointField(
                name=n, offset=offset + 4 * i, datatype=self._pick((7, 7, 8, 2, 0, 200)), count=self._pick((1, 1, 0, 3))
            )
            for i, n in enumerate(names)
        ]
        cloud.point_step = self._pick((12, 16, 32, 0, 1, 2**31))
        cloud.row_step = min(self._pick((cloud.point_step * cloud.width, 0, 7)), 2**32 - 1)
        cloud.is_bigendian, cloud.is_dense = bool(self._pick((0, 1))), bool(self._pick((0, 1)))
        cloud.data = self._bytes(min(cloud.row_step * cloud.height, 1 << 20))
        return "points", cloud

    def _tf(self) -> tuple[str, Any]:
        from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
        from tf2_msgs.msg import TFMessage

        edges = []
        for _ in range(self._pick((0, 1, 1, 3))):
            t, q = ([self._pick(ODD) for _ in range(n)] for n in (3, 4))
            transform = Transform(
                translation=Vector3(x=t[0], y=t[1], z=t[2]), rotation=Quaternion(x=q[0], y=q[1], z=q[2], w=q[3])
            )
            # Never the camera itself in the world: a driver's bug may send anything, but this edge would then be true.
            child = self._pick(("arm", "tool", "", "world", "arm/\u00e9"))
            edges.append(TransformStamped(header=self._header(), child_frame_id=child, transform=transform))
        return self._pick(("/tf", "/tf_static")), TFMessage(transforms=edges)
