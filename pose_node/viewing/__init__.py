"""``pose_node view``: show a recording, or a running node, in the Rerun viewer."""
