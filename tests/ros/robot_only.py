"""pose_node's node where nothing but the robot side is installed: the other sides' packages cannot be imported."""

import sys

BLOCKED = {
    "torch",
    "escnn",
    "open3d",
    "trimesh",
    "onnx",
    "onnxscript",
    "sklearn",
    "matplotlib",
    "rosbags",
    "cv2",
    "pandas",
}


class Missing:
    """First on sys.meta_path: says that a package does not exist."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"blocked by the test: {name}", name=name)


sys.meta_path.insert(0, Missing)

from pose_node.ros.node import main  # noqa: E402  (after the block)

code = main()
loaded = BLOCKED & {name.split(".")[0] for name in sys.modules}
sys.exit(f"loaded: {loaded}" if loaded else code)
