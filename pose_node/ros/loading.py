"""Settings -> loaded objects: what the node does when it is configured, and for ``~/reload_objects``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from pose_node.errors import ConfigError
from pose_node.messages import convert
from pose_node.objects.folders import object_folders
from pose_node.ros import publish
from pose_node.ros.parameters import Settings

if TYPE_CHECKING:
    from pose_node.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class LoadedObjects:
    """The pipeline with its objects.

    folders: the object folders. labels: {label of the mask image: object name}. load_s: seconds that loading took.
    """

    pipeline: Pipeline
    folders: list[Path]
    labels: dict[int, str]
    load_s: float


def load_objects(settings: Settings, log: Callable[[str], object]) -> LoadedObjects:
    """Load the objects that the settings name.

    Raises ConfigError, CardError, ModelError or InputError for settings and folders that cannot be used.
    """
    folders, labels = _named(settings)
    if settings.needs_tf and publish.tf2_msgs is None:
        raise ConfigError(
            "parameters fixed_frame and viewpoint_frame: found "
            f"{settings.node.fixed_frame or settings.node.viewpoint_frame!r} and no package tf2_msgs, which /tf needs: "
            "install it (a ROS installation has it, script/setup makes it), or leave the parameter empty."
        )
    # Imported late: a node whose parameters are refused does not load ONNX Runtime first.
    from pose_node.pipeline import Pipeline

    log(f"loading {', '.join(folder.name for folder in folders)}")
    begin_s = time.monotonic()
    pipeline = Pipeline.load(folders, config=settings.pipeline)
    # The chain's matrices are small: more threads would only wait for each other.
    threadpool_limits(settings.pipeline.infer.threads)
    return LoadedObjects(pipeline, folders, labels, time.monotonic() - begin_s)


def load_again(before: LoadedObjects, settings: Settings) -> LoadedObjects:
    """The objects that the settings name now; those whose folders have not changed are shared with ``before``.

    ``before`` stays as it is, and may be used meanwhile. Raises as ``load_objects`` does.
    """
    folders, labels = _named(settings)
    begin_s = time.monotonic()
    pipeline = before.pipeline.with_objects(folders)
    for name, network in pipeline.networks.items():
        if network is not before.pipeline.networks.get(name):
            network.warm()  # a first run is slow, and no frame should wait for it
    # Of the objects that were not shared alone; the floor for all is what it took before.
    return LoadedObjects(pipeline, folders, labels, max(before.load_s, time.monotonic() - begin_s))


def differences(before: LoadedObjects, after: LoadedObjects) -> str:
    """One sentence on which objects differ."""
    old, new = before.pipeline.cards, after.pipeline.cards
    kinds = {
        "added": sorted(new.keys() - old.keys()),
        "changed": sorted(name for name in new.keys() & old.keys() if new[name] is not old[name]),
        "removed": sorted(old.keys() - new.keys()),
    }
    unchanged = sum(new[name] is old.get(name) for name in new)
    words = [f"{kind} {', '.join(names)}" for kind, names in kinds.items() if names]
    return f"{'; '.join([*words, f'{unchanged} unchanged'])}."


def _named(settings: Settings) -> tuple[list[Path], dict[int, str]]:
    """The folders of the objects that the settings name, and {label of the mask image: object name}; raises ConfigError."""
    folders = object_folders(settings.node.models, settings.node.objects)
    labels = convert.parse_labels(settings.node.mask_labels)
    names = [folder.name for folder in folders]
    for name in labels.values():
        if name not in names:
            raise ConfigError(f"parameter mask_labels: found object {name!r}, expected one of {', '.join(names)}.")
    return folders, labels


def facts(pipeline: Pipeline, settings: Settings) -> dict[str, Any]:
    """What the log and /diagnostics say about a configured node."""
    node = settings.node
    return {
        "provider": pipeline.provider,
        "objects": " ".join(pipeline.cards),
        "threads": settings.pipeline.infer.threads,
        "input": node.input,
        "rectified": node.rectified,
        "viewpoint_frame": node.viewpoint_frame or "none: clouds are seen from the origin of their frame",
        "fixed_frame": node.fixed_frame or "none: no tracking, poses are in the camera's frame",
    }


def latency_budget(pipeline: Pipeline, settings: Settings) -> str:
    """One sentence on how long a network and the waiting for messages take; runs each network once."""
    network_s = max(network.warm() for network in pipeline.networks.values())
    wait = f"at most {settings.node.sync_wait_s:g} s for camera info and mask"
    if settings.tracks:
        wait += f" and {settings.node.tf_wait_s:g} s for /tf"
    return f"latency budget: one network evaluation takes {1000.0 * network_s:.0f} ms; a frame waits {wait}"
