"""Recordings with depth, each read by the same few calls: bags, BOP folders, range scans."""
