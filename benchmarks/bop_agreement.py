"""Errors and recalls as bop_toolkit computes them, stored for the tests of our own metrics.

    git clone https://github.com/thodan/bop_toolkit
    PYTHONPATH=bop_toolkit python -m benchmarks.bop_agreement       -> tests/benchmarks/bop_agreed.npz

Inputs are drawn from a seed and stored with the toolkit's answers, so the tests need neither the toolkit nor the seed:

- 1,000 pose pairs with MSSD, MSPD, ADD and ADD-S, 250 for each kind of symmetry: none, discrete, continuous off the origin, both;
- VSD of small depth images;
- recalls of random error matrices of frames with several instances.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from pose_node.geometry import se3

FIXTURE = Path(__file__).resolve().parents[1] / "tests" / "benchmarks" / "bop_agreed.npz"
K = np.array([[572.4, 0.0, 325.3], [0.0, 573.6, 242.0], [0.0, 0.0, 1.0]])
K_SMALL = np.array([[60.0, 0.0, 23.5], [0.0, 60.0, 17.5], [0.0, 0.0, 1.0]])
HALF_TURN = [-1, 0, 0, 4, 0, -1, 0, -6, 0, 0, 1, 0, 0, 0, 0, 1]
SYMMETRIES = {
    "none": {},
    "discrete": {"symmetries_discrete": [HALF_TURN]},
    "continuous": {"symmetries_continuous": [{"axis": [0, 0, 1], "offset": [3, -2, 5]}]},
    "both": {
        "symmetries_discrete": [[1, 0, 0, 0, 0, -1, 0, 8, 0, 0, -1, 2, 0, 0, 0, 1]],
        "symmetries_continuous": [{"axis": [0, 1, 0], "offset": [0, 0, 1]}],
    },
}
DIAMETER_MM = 200.0
PAIRS, IMAGES, FRAMES = 250, 16, 60


def poses(rng: np.random.Generator, info: dict[str, Any], count: int) -> tuple[Any, Any]:
    """T_est and T_gt [count, 4, 4] in millimetres: half of the estimates near a symmetric truth, half anywhere."""
    from bop_toolkit_lib import misc

    symmetries = misc.get_symmetry_transformations(info, 0.01)
    T_gt = _random(rng, count)
    T_est = _random(rng, count)
    for i in range(0, count, 2):
        S = symmetries[rng.integers(len(symmetries))]
        near = se3.transform(se3.exp_so3(rng.normal(0, 0.1, 3)), rng.normal(0, 5, 3))
        T_est[i] = T_gt[i] @ se3.transform(S["R"], S["t"][:, 0]) @ near
    return T_est, T_gt


def _random(rng: np.random.Generator, count: int) -> Any:
    R = se3.exp_so3(rng.normal(size=(count, 3)) * 2.0)
    return se3.transform(R, np.column_stack([rng.uniform(-200, 200, (count, 2)), rng.uniform(500, 1500, count)]))


def twists(T: Any) -> Any:
    """Poses [N, 4, 4] as translations and rotation vectors [N, 6] in single precision, which is what is kept."""
    return np.concatenate([T[:, :3, 3], se3.log_so3(T[:, :3, :3])], axis=1).astype(np.float32)


def from_twists(values: Any) -> Any:
    """The inverse of ``twists``: [N, 6] -> [N, 4, 4]."""
    values = np.asarray(values, float)
    return se3.transform(se3.exp_so3(values[:, 3:]), values[:, :3])


def pose_errors(rng: np.random.Generator, points: Any) -> dict[str, Any]:
    """For each kind of symmetry the pairs and [pairs, 4] of MSSD, MSPD, ADD, ADD-S, millimetres and pixels."""
    from bop_toolkit_lib import misc, pose_error

    out = {}
    for kind, info in SYMMETRIES.items():
        symmetries = misc.get_symmetry_transformations(info, 0.01)
        T_est, T_gt = poses(rng, info, PAIRS)
        kept = {f"{kind}_{name}": twists(T) for name, T in (("est", T_est), ("gt", T_gt))}
        found = []
        for a, b in zip(*map(from_twists, kept.values())):
            pair = (a[:3, :3], a[:3, 3:], b[:3, :3], b[:3, 3:])
            found.append(
                [
                    pose_error.mssd(*pair, points, symmetries),
                    pose_error.mspd(*pair, K, points, symmetries),
                    pose_error.add(*pair, points),
                    pose_error.adi(*pair, points),
                ]
            )
        out.update({**kept, f"{kind}_errors": np.array(found)})
    return out


class Renderer:
    """Hands out depths [H, W] in the order in which the toolkit's ``vsd`` asks for them."""

    def __init__(self, depths: list[Any]) -> None:
        self.left = list(depths)

    def render_object(self, *_: Any) -> dict[str, Any]:
        return {"depth": self.left.pop(0)}


def vsd_errors(rng: np.random.Generator) -> dict[str, Any]:
    """Depths [images, 3, H, W] of estimate, truth and measurement in tenths of a millimetre, and VSD [images, taus]."""
    from bop_toolkit_lib import pose_error

    v, u = np.mgrid[:36, :48]
    depths, found = [], []
    for _ in range(IMAGES):
        blobs = []
        for _ in range(2):
            centre, radius = rng.uniform([16, 12], [32, 24]), rng.uniform(6, 14)
            inside = (u - centre[0]) ** 2 + (v - centre[1]) ** 2 < radius**2
            blobs.append(np.where(inside, 900 + rng.normal(0, 15) + rng.uniform(-2, 2) * u + rng.uniform(-2, 2) * v, 0))
        test = np.where(blobs[1] > 0, blobs[1] + rng.normal(0, 4, v.shape), 1100.0)
        test[rng.random(v.shape) < 0.15] = 0
        test[:, : rng.integers(20)] = 700  # an occluder
        three = np.rint(10 * np.stack([*blobs, test])).astype(np.uint16)
        est, gt, test = three / 10.0

        taus = list(np.arange(0.05, 0.51, 0.05))
        none = (np.eye(3), np.zeros((3, 1)))
        found.append(
            pose_error.vsd(
                *none, *none, test, K_SMALL, 15, taus, True, DIAMETER_MM, Renderer([est, gt]), 1, cost_type="step"
            )
        )
        depths.append(three)
    return {"vsd_depths": np.stack(depths), "vsd_errors": np.array(found)}


def recalls(rng: np.random.Generator) -> dict[str, Any]:
    """Errors [frames, 4, 4] of estimates (best first) against labels, NaN beyond those there are, how many labels there are
    [frames], and the recall [10] at BOP's thresholds."""
    from bop_toolkit_lib import pose_matching, score

    thresholds = np.arange(0.05, 0.51, 0.05)
    errors = np.full((FRAMES, 4, 4), np.nan)
    truth: dict[int, Any] = {}
    estimates = []
    for frame in range(FRAMES):
        labels = int(rng.integers(1, 5))
        found = int(rng.integers(0, labels + 1))
        errors[frame, :found, :labels] = rng.uniform(0, 0.7, (found, labels)) * rng.choice([0.2, 1.0], (found, labels))
        truth[frame] = [{"obj_id": 1}] * labels
        for i in range(found):
            of_label = {k: [float(errors[frame, i, k])] for k in range(labels)}
            estimates.append(
                {
                    "im_id": frame, "obj_id": 1, "est_id": i, "score": 1.0 - 0.1 * i, "errors": of_label,
                    "gt_visib_fracts": dict.fromkeys(range(labels), 1.0),
                }
            )  # fmt: skip
    info = {frame: [{"visib_fract": 1.0}] * len(labels) for frame, labels in truth.items()}
    valid = {frame: [True] * len(labels) for frame, labels in truth.items()}
    out = []
    for threshold in thresholds:
        matches = pose_matching.match_poses_scene(1, truth, info, valid, estimates, [threshold], -1)
        out.append(score.calc_localization_scores([1], [1], matches, -1, do_print=False)["recall"])
    counts = np.array([len(labels) for labels in truth.values()])
    return {"recall_errors": errors, "recall_labels": counts, "recalls": np.array(out)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    rng = np.random.default_rng(parser.parse_args().seed)
    points = np.round(rng.uniform(-60, 60, (48, 3)), 1)
    values = {
        "points": points,
        "K": K,
        "K_small": K_SMALL,
        **pose_errors(rng, points),
        **vsd_errors(rng),
        **recalls(rng),
    }
    np.savez_compressed(FIXTURE, **values)
    print(f"written: {FIXTURE} ({FIXTURE.stat().st_size // 1024} kB)")


if __name__ == "__main__":
    main()
