"""The node and all that needs rclpy."""
