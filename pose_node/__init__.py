"""Depth-only 6D object pose: ``Pipeline.load(["models/mug"]).estimate(Cloud.from_depth(depth_m, K))``."""

from pose_node import moved
from pose_node.measurement.cloud import Cloud
from pose_node.types import Estimate, Rejected, Result

__version__ = "0.1.0"
__all__ = ["Cloud", "Estimate", "Pipeline", "Rejected", "Result", "__version__"]

moved.install()


def __getattr__(name: str) -> object:
    # Pipeline pulls in onnxruntime; the learning side imports the package without it.
    if name == "Pipeline":
        from pose_node.pipeline import Pipeline

        return Pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
