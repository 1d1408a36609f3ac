"""``python -m benchmarks.peers``: see raw_poses.py."""

from benchmarks.peers.raw_poses import main

main()
