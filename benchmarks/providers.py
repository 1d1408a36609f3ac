"""The networks on a GPU: are their outputs those of the CPU, how equivariant are they, and how fast?

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.providers     -> results/providers.json (a minute; needs onnxruntime-gpu and a GPU)

Crops: every third label of the demo's recording, the points under its mask, with its own object. For each provider, ``cpu`` and
``cuda`` (with ``infer.require_gpu``):

- load_ms: the session of one object and its first call, the slowest object; the first session also loads the provider's libraries.
- network_ms_p50, p99: one call of the exported network. infer_ms_p50: the stage, with hypotheses from its outputs.
  estimate_ms_p50: the whole crop.
- onnx_rel_max: outputs for a moved crop against the moved outputs, 4 motions a crop (as ``benchmarks.exactness``).

outputs_rel_max: largest difference between the providers' outputs, over each output's largest value. pose_deg_max, pose_mm_max:
between their poses, of the crops that both accept. decisions_differing: crops that one accepts and the other rejects.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.exactness import difference, motion, network_difference, relative_difference
from pose_node.config import InferConfig, PipelineConfig
from pose_node.measurement.cloud import Cloud
from pose_node.network.backbone import OUTPUTS
from pose_node.network.input import prepare
from pose_node.objects.card import load_card
from pose_node.objects.folders import object_folders
from pose_node.pipeline import Pipeline
from pose_node.ros.demo import recording

MOTIONS = 4  # a crop
ROUNDS = 2
EVERY = 3  # label
CONFIGS = {
    "cpu": PipelineConfig(infer=InferConfig(provider="cpu")),
    "cuda": PipelineConfig(infer=InferConfig(provider="cuda", require_gpu=True)),
}


def crops(models: Path) -> list[tuple[str, Cloud]]:
    """(object, points under its mask) of labels with an object folder."""
    names = {card.bop_id: card.name for card in map(load_card, object_folders(models))}
    found = []
    for scene in recording.scenes():
        for frame in recording.read(scene):
            for row, (bop_id, _) in enumerate(frame.labels):
                if bop_id in names:
                    cloud = Cloud.from_depth(np.where(frame.mask(row), frame.depth_m, 0.0).astype(float), frame.K)
                    found.append((names[bop_id], Cloud.from_points(cloud.points_m)))
    return found[::EVERY]


def load(models: Path, names: Sequence[str], provider: str) -> tuple[dict[str, Pipeline], list[float]]:
    """A warm pipeline for each object, and the milliseconds that each took."""
    pipelines, ms = {}, []
    for name in names:
        begin = time.perf_counter()
        pipelines[name] = Pipeline.load([models / name], CONFIGS[provider])
        pipelines[name].networks[name].warm()
        ms.append(1000.0 * (time.perf_counter() - begin))
    return pipelines, ms


def measure(pipelines: dict[str, Pipeline], taken: Sequence[tuple[str, Cloud]]) -> tuple[dict[str, float], list[Any]]:
    """Figures of one provider, and (outputs, result) of each crop."""
    network_ms, infer_ms, whole_ms, exact, answers = [], [], [], [], []
    for i, (name, cloud) in enumerate(taken):
        pipeline = pipelines[name]
        network = pipeline.networks[name]
        prepared = prepare(cloud.points_m, cloud.viewpoint_m, network.card.diameter_m)
        masks = {name: [np.ones(len(cloud), dtype=bool)]}
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            outputs = network.backbone.run(prepared)
            network_ms.append(1000.0 * (time.perf_counter() - begin))
            begin = time.perf_counter()
            result = pipeline.estimate(cloud, masks=masks)
            whole_ms.append(1000.0 * (time.perf_counter() - begin))
            infer_ms.append(1000.0 * result.stage_s["infer"])
        for j in range(MOTIONS):
            T = motion(i * MOTIONS + j)
            exact.append(network_difference(network, cloud.points_m, cloud.viewpoint_m, T)["onnx"])
        answers.append((outputs, result))
    figures = {
        "network_ms_p50": results.percentile(network_ms, 50),
        "network_ms_p99": results.percentile(network_ms, 99),
        "infer_ms_p50": results.percentile(infer_ms, 50),
        "estimate_ms_p50": results.percentile(whole_ms, 50),
        "onnx_rel_max": max(exact),
    }
    return figures, answers


def compare(
    pipelines: dict[str, Pipeline], taken: Sequence[tuple[str, Cloud]], a: Sequence[Any], b: Sequence[Any]
) -> dict[str, float]:
    """Differences between the providers."""
    outputs, degrees, mm, differing = [0.0], [0.0], [0.0], 0
    for (name, _), (one, first), (other, second) in zip(taken, a, b):
        outputs += [relative_difference(getattr(other, key), getattr(one, key)) for key in OUTPUTS]
        if bool(first.estimates) != bool(second.estimates):
            differing += 1
        elif first.estimates:
            card = pipelines[name].cards[name]
            turn, shift = difference(second.estimates[0].T_camera_object, first.estimates[0].T_camera_object, card)
            degrees.append(turn)
            mm.append(1000.0 * shift * card.diameter_m)
    return {
        "outputs_rel_max": max(outputs),
        "pose_deg_max": max(degrees),
        "pose_mm_max": max(mm),
        "decisions_differing": differing,
    }


def gpu() -> str:
    """The GPU's name by its driver."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=results.ROOT / "models")
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    taken = crops(options.models)
    names = sorted({name for name, _ in taken})
    figures: dict[str, float] = {"crops": len(taken)}
    answers = {}
    for provider in CONFIGS:
        pipelines, ms = load(options.models, names, provider)
        figures[f"{provider}_load_first_ms"], figures[f"{provider}_load_ms"] = ms[0], max(ms[1:])
        found, answers[provider] = measure(pipelines, taken)
        figures.update({f"{provider}_{key}": value for key, value in found.items()})
    figures.update(compare(pipelines, taken, answers["cpu"], answers["cuda"]))
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    results.write_result(
        "providers", "OPENBLAS_NUM_THREADS=1 python -m benchmarks.providers", figures, options.output, {"gpu": gpu()}
    )


if __name__ == "__main__":
    main()
