"""Start pose_node from config/pose.yaml:  ros2 launch pose_node pose.launch.py depth:=/camera/depth/image_rect_raw ..."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "params_file": (
        PathJoinSubstitution([FindPackageShare("pose_node"), "config", "pose.yaml"]),
        "YAML file of parameters, for example a changed copy of config/pose.yaml",
    ),
    "fixed_frame": ("", "frame of /tf in which objects are tracked; empty: the one in params_file"),
    "namespace": ("", "namespace of the node and of its relative topics"),
    "depth": ("depth/image_rect", "topic of the rectified depth image, 16UC1 in mm or 32FC1 in m"),
    "camera_info": ("depth/camera_info", "topic of the depth image's camera info"),
    "points": ("points", "topic of the point cloud, in the sensor's own frame"),
    "mask": ("mask", "topic of the label image, mono8 or mono16, with the stamps of the depth image"),
    "log_level": ("info", "debug, info, warn or error"),
}


def start(context: LaunchContext) -> list[Node]:
    """The node, which configures and activates itself (parameter autostart)."""
    fixed_frame = LaunchConfiguration("fixed_frame")
    parameters = [LaunchConfiguration("params_file")]
    if fixed_frame.perform(context):  # an empty one would override the file's
        parameters.append({"fixed_frame": ParameterValue(fixed_frame, value_type=str)})
    node = Node(
        package="pose_node",
        executable="pose_node",
        name="pose_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=parameters,
        remappings=[
            ("depth/image_rect", LaunchConfiguration("depth")),
            ("depth/camera_info", LaunchConfiguration("camera_info")),
            ("points", LaunchConfiguration("points")),
            ("mask", LaunchConfiguration("mask")),
        ],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    return [node]


def generate_launch_description() -> LaunchDescription:
    """The arguments and the node."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
