"""The demo: a recording replayed over DDS into the node, watched and drawn."""
