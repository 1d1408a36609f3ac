"""The same over time: follow an object between detections, fuse poses, keep identities."""
