"""Two cameras, two nodes: an example with namespaces, and with the topics of two camera drivers.

ros2 launch pose_node two_cameras.launch.py fixed_frame:=world
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

# {namespace: topics of the camera's driver}. Both drivers publish rectified 16UC1 in millimetres.
CAMERAS = {
    "realsense": {  # realsense2_camera with its default camera_namespace and camera_name
        "depth/image_rect": "/camera/camera/depth/image_rect_raw",
        "depth/camera_info": "/camera/camera/depth/camera_info",
        "points": "/camera/camera/depth/color/points",
    },
    "orbbec": {  # orbbec_camera with its default camera_name
        "depth/image_rect": "/camera/depth/image_raw",
        "depth/camera_info": "/camera/depth/camera_info",
        "points": "/camera/depth/points",
    },
}
ARGUMENTS = {
    "params_file": (
        PathJoinSubstitution([FindPackageShare("pose_node"), "config", "pose.yaml"]),
        "YAML file of parameters for both nodes",
    ),
    "fixed_frame": ("world", "frame of /tf in which objects are tracked, the same for both cameras"),
}


def generate_launch_description() -> LaunchDescription:
    """A node per camera, with its outputs in a namespace: /realsense/pose_node/poses, /orbbec/pose_node/poses.

    With publish_tf the frames are, too: realsense/pose_node/gelatin_box_1 and orbbec/pose_node/gelatin_box_1.
    """
    nodes = [
        Node(
            package="pose_node",
            executable="pose_node",
            name="pose_node",
            namespace=camera,
            parameters=[LaunchConfiguration("params_file"), {"fixed_frame": LaunchConfiguration("fixed_frame")}],
            remappings=list(topics.items()),
            output="screen",
        )
        for camera, topics in CAMERAS.items()
    ]
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, *nodes])
