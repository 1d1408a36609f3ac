"""Where in the cloud an object may be: segments, pieces of surface, and which objects fit them."""
