"""The peers, one a file, from pip: methods that find an object's pose in masked points without learning.

A peer is a class with named ``settings`` (at most six, all tried by ``benchmarks.peers_settings``). It is made of a model
(vertices [V, 3] and faces [F, 3], metres; diameter) and a setting. ``poses(points_m, viewpoint_m)`` gives its
T_camera_object [4, 4], best first, none where it finds nothing. All poses, ours and theirs, go through our refinement.
"""

from __future__ import annotations

from typing import Any

from benchmarks.peers.clouds import one_thread
from benchmarks.peers.fgr import Fgr
from benchmarks.peers.kiss import Kiss
from benchmarks.peers.ppf import Ppf
from benchmarks.peers.ransac import Ransac
from pose_node.arrays import Array

PEERS: dict[str, Any] = {"ransac": Ransac, "fgr": Fgr, "kiss": Kiss, "ppf": Ppf}
OBJECTS = ("mustard_bottle", "gelatin_box", "potted_meat_can", "banana", "bowl", "mug")
MOST_SETTINGS = 6

__all__ = ["MOST_SETTINGS", "OBJECTS", "PEERS", "Fgr", "Kiss", "Ppf", "Ransac", "make", "one_thread"]


def make(peer: str, setting: str, vertices_m: Array, faces: Any, diameter_m: float) -> Any:
    """A peer by its name and that of its setting, trained on a model. Raises KeyError for an unknown name."""
    kind = PEERS[peer]
    return kind(vertices_m, faces, diameter_m, kind.settings[setting])
