"""Where objects may be in a cloud: segments, and the objects to look for in each."""
