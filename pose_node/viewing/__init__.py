"""Something to look at: ``pose_node view`` shows a recording, or a running node, in the Rerun viewer."""
