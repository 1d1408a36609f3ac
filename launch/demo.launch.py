"""The demo's recording, the node and RViz, without a camera:  ros2 launch pose_node demo.launch.py"""

import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, Shutdown
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "objects": ("[mustard_bottle]", "names of the objects to search for, as a YAML list; [''] for all"),
    "rate": ("5.0", "frames per second of the recording"),
    "rviz": ("true", "whether to start RViz (true or false)"),
}


def generate_launch_description() -> LaunchDescription:
    """Player, node and RViz. The recording's camera is still in each scene, so its frame serves as the fixed frame."""
    share = FindPackageShare("pose_node")
    player = ExecuteProcess(
        cmd=[sys.executable, "-m", "pose_node.ros.demo.player", "--rate", LaunchConfiguration("rate")],
        name="player",
        output="log",
    )
    node = Node(
        package="pose_node",
        executable="pose_node",
        name="pose_node",
        parameters=[
            PathJoinSubstitution([share, "config", "pose.yaml"]),
            {"objects": LaunchConfiguration("objects"), "input": "depth", "fixed_frame": "camera_depth_optical_frame"},
        ],
        output="screen",
        on_exit=Shutdown(reason="pose_node ended"),
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", PathJoinSubstitution([share, "config", "pose.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
        output="log",
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, player, node, rviz])
