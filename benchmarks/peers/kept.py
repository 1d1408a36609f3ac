"""What the peers answer on every label, kept in ``results/peers/<set>.json``: raw poses, before any refinement.

    python -m benchmarks.peers.kept                     all labels that are not kept yet (hours: PPF is slow)
    python -m benchmarks.peers.kept --sets icbin lmo    these sets only

A peer gets the points that our pipeline takes from the true mask, in a process of its own (``worker.py``) and on one thread. Its
answer depends on nothing else of ours, so ``benchmarks.sets`` reads it from here and only refines it. An answer is asked for
again when its version, a hash of the peer's code and setting, is another.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import results, rows
from benchmarks.crops import Crop, crops
from benchmarks.methods import plain_pose, points_of, read_pose, worker
from benchmarks.peers import PEERS
from benchmarks.peers.worker import Answer
from benchmarks.peers_settings import chosen
from benchmarks.set_objects import SETS, label_counts
from benchmarks.speed import THREADS

FOLDER = results.FOLDER / "peers"
_HERE = Path(__file__).parent


def version(peer: str, setting: str) -> str:
    """Hash of a peer's code and of the values of its setting."""
    digest = hashlib.sha256(repr(PEERS[peer].settings[setting]).encode())
    for name in ("clouds", peer):
        digest.update(rows.meaning(_HERE / f"{name}.py"))
    return digest.hexdigest()[:12]


def load(set_name: str) -> dict[str, dict[str, Answer]]:
    """Label -> peer -> its answer, of the present versions; labels or peers that were not asked are missing."""
    settings = chosen()
    wanted = {peer: version(peer, settings[peer]) for peer in PEERS}
    return {
        key: {peer: _read(entry) for peer, entry in row.items() if entry["version"] == wanted[peer]}
        for key, row in _stored(set_name).items()
    }


def fill(set_name: str, peers: Sequence[str]) -> int:
    """Ask the peers about the labels of a set that are not kept yet; returns how many answers are new."""
    settings, known, count = chosen(), load(set_name), 0
    for object_id in label_counts(set_name):
        group = list(crops(set_name, object_id))
        for peer in peers:
            waiting = [crop for crop in group if peer not in known.get(crop.key, {})]
            if waiting:
                _ask(set_name, peer, settings[peer], waiting)
                count += len(waiting)
    return count


def _ask(set_name: str, peer: str, setting: str, waiting: Sequence[Crop]) -> None:
    """The answers of one peer on crops of one object, stored one by one."""
    asked = worker(peer, setting, waiting[0])
    try:
        for crop in tqdm(waiting, desc=f"{set_name} {waiting[0].name} {peer}", unit="label"):
            answer = asked.poses(points_of(crop), crop.cloud.viewpoint_m)
            stored = _stored(set_name)
            stored.setdefault(crop.key, {})[peer] = {"version": version(peer, setting), **_plain(answer)}
            write(set_name, stored)
    finally:
        asked.close()


def write(set_name: str, stored: Mapping[str, Mapping[str, Any]]) -> None:
    """One label a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(row, separators=(',', ':'))}" for key, row in sorted(stored.items())]
    results.write_text(FOLDER / f"{set_name}.json", "{\n" + ",\n".join(lines) + "\n}\n")


def _stored(set_name: str) -> dict[str, dict[str, Any]]:
    path = FOLDER / f"{set_name}.json"
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _plain(answer: Answer) -> dict[str, Any]:
    out: dict[str, Any] = {"outcome": answer.outcome, "poses": [plain_pose(T) for T in answer.poses]}
    out["ms"] = round(1000.0 * answer.seconds, 1) if np.isfinite(answer.seconds) else None
    return {**out, **({"why": answer.why} if answer.why else {})}


def _read(entry: Mapping[str, Any]) -> Answer:
    seconds = float("nan") if entry["ms"] is None else entry["ms"] / 1000.0
    return Answer([read_pose(values) for values in entry["poses"]], seconds, entry["outcome"], entry.get("why", ""))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    options = parser.parse_args(arguments)
    if any(os.environ.get(k) != v for k, v in THREADS.items()):  # libraries read these when they load
        rest = sys.argv[1:] if arguments is None else list(arguments)
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.peers.kept", *rest], {**os.environ, **THREADS})
    for set_name in options.sets:
        print(f"{set_name}: {fill(set_name, options.peers)} new answers", flush=True)


if __name__ == "__main__":
    main()
