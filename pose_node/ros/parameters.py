"""ROS parameters from the config dataclasses: one namespace per stage, each default stated once, unknown names refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, get_type_hints

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from pose_node.config import REPLACED, PipelineConfig, bounded, checked_value, choice, did_you_mean, from_mapping, plain
from pose_node.errors import ConfigError

# rclpy declares these itself, and a launch file may set them for any node.
_OF_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides.")


def _reread(default: Any, doc: str) -> Any:
    """A field without limits that ``~/reload_objects`` reads again."""
    return field(default=default, metadata={"doc": doc, "reload": True})


@dataclass(frozen=True)
class NodeConfig:
    """The node's own settings; the stages have theirs in ``PipelineConfig``."""

    autostart: bool = plain(True, "configure and activate at start, without a lifecycle manager")
    models: str = _reread("", "folder of the object folders; empty: ./models, or else the installed share folder")
    objects: tuple[str, ...] = _reread(("",), "names of the objects to search for; empty: all in the models folder")
    input: str = choice("auto", ("auto", "depth", "points"), "subscribe to depth images, to point clouds, or to both")
    rectified: bool = plain(True, "depth images are rectified: P of the camera info is used; false: K and D are used")
    mask_labels: tuple[str, ...] = _reread(
        ("",), "'LABEL:OBJECT' pairs of the mask image; empty: every label is the object, if there is only one"
    )
    sync_wait_s: float = bounded(0.5, 0.0, 10.0, "a measurement waits at most this long for its camera info and mask")
    fixed_frame: str = plain(
        "", "frame of /tf in which objects are tracked (a fixed camera's own frame will do); empty: no tracking"
    )
    viewpoint_frame: str = plain(
        "",
        "frame of /tf of the sensor, for point clouds that were transformed to another frame; empty: the clouds' own frame",
    )
    publish_tf: bool = plain(
        False, "publish a frame for each confirmed track on /tf, below fixed_frame: pose_node/mustard_bottle_1"
    )
    tf_wait_s: float = bounded(
        0.2, 0.0, 10.0, "a measurement waits at most this long for the camera's pose on /tf", live=True
    )
    reliability: str = choice(
        "auto",
        ("auto", "reliable", "best_effort"),
        "reliability of the subscriptions; auto: as each publisher offers",
        live=True,
    )
    diagnostics_period_s: float = bounded(1.0, 0.05, 60.0, "time between two messages on /diagnostics")


@dataclass(frozen=True)
class Settings:
    """All settings of the node."""

    node: NodeConfig = field(default_factory=NodeConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)

    def __post_init__(self) -> None:
        if self.node.publish_tf and not (self.node.fixed_frame and self.pipeline.track.enabled):
            raise ConfigError(
                f"parameter publish_tf: found true with fixed_frame {self.node.fixed_frame!r} and track.enabled "
                f"{str(self.pipeline.track.enabled).lower()}, expected a fixed_frame and tracking: only tracks have frames."
            )

    @property
    def tracks(self) -> bool:
        """Whether objects are tracked in a fixed frame."""
        return bool(self.node.fixed_frame) and self.pipeline.track.enabled

    @property
    def needs_tf(self) -> bool:
        """Whether frames wait for a pose on /tf."""
        return self.tracks or bool(self.node.viewpoint_frame)


@dataclass(frozen=True)
class Parameter:
    """One parameter as the dataclasses state it."""

    name: str
    kind: type
    default: Any
    metadata: Mapping[str, Any]

    @property
    def live(self) -> bool:
        """Whether it is read with each frame, so that it may change while the node runs."""
        return bool(self.metadata.get("live"))

    @property
    def reload(self) -> bool:
        """Whether ``~/reload_objects`` reads it again, so that it may be set at any time and takes effect with that."""
        return bool(self.metadata.get("reload"))

    def checked(self, value: Any) -> Any:
        """``value`` in this parameter's type, within its range or options, or ConfigError."""
        if self.kind is not tuple:
            return checked_value(value, self.kind, self.metadata, f"parameter {self.name}")
        if isinstance(value, str) or not all(isinstance(text, str) for text in value or ()):
            raise ConfigError(f"parameter {self.name}: found {value!r}, expected a list of strings.")
        return tuple(value or ("",))  # ROS cannot infer the type of an empty list: [""] stands for it

    def descriptor(self) -> ParameterDescriptor:
        """What ``ros2 param describe`` shows."""
        constraints = [f"one of {', '.join(self.metadata['options'])}"] if "options" in self.metadata else []
        read = "read at configure and by ~/reload_objects" if self.reload else "read at configure"
        constraints.append("may change at any time" if self.live else read)
        described = ParameterDescriptor(description=self.metadata["doc"], additional_constraints="; ".join(constraints))
        if "range" in self.metadata:
            low, high = self.metadata["range"]
            if self.kind is int:
                described.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
            else:
                described.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
        return described


def parameters() -> Iterator[Parameter]:
    """Every parameter of the node; those of a stage are ``<stage>.<field>``."""
    yield from _parameters(NodeConfig, "")
    yield from _parameters(PipelineConfig, "")


def declare(node: Any, overrides: Mapping[str, Any]) -> None:
    """Declare all parameters on ``node``, with their values in ``overrides`` or their defaults.

    overrides: name -> rclpy Parameter, from the command line and YAML files.
    Raises ConfigError with one sentence for an unknown name, a wrong type or a value out of range.
    """
    known = {parameter.name: parameter for parameter in parameters()}
    for name in overrides:
        if name in REPLACED:
            raise ConfigError(f"parameter {name}: it is no setting any more: {REPLACED[name]}.")
        if name not in known and not name.startswith(_OF_RCLPY):
            hint = did_you_mean(name, known)
            raise ConfigError(f"parameter {name}: unknown{hint}; config/pose.yaml names all parameters.")
    for parameter in known.values():
        value = overrides[parameter.name].value if parameter.name in overrides else parameter.default
        value = parameter.checked(value)
        node.declare_parameter(
            parameter.name,
            list(value) if parameter.kind is tuple else value,
            parameter.descriptor(),
            ignore_override=True,
        )


def read(node: Any) -> Settings:
    """The node's parameters as config dataclasses. Raises ConfigError for a value that is invalid."""
    own: dict[str, Any] = {}
    stages: dict[str, dict[str, Any]] = {}
    for parameter in parameters():
        value = parameter.checked(node.get_parameter(parameter.name).value)
        stage, _, key = parameter.name.rpartition(".")
        if stage:
            stages.setdefault(stage, {})[key] = value
        else:
            own[key] = _without_empty(value) if parameter.kind is tuple else value
    return Settings(NodeConfig(**own), from_mapping(PipelineConfig, stages, "parameters"))


def changed(settings: Settings, changes: Mapping[str, Any], running: bool) -> Settings:
    """``settings`` with these changes; names that are not ours are ignored.

    running: whether the objects are loaded, so that only live parameters may change, and those that ``~/reload_objects`` reads
    may be set; the present value may always be set again.
    Raises ConfigError for an invalid value, and for a parameter that cannot change now.
    """
    new: dict[str, dict[str, Any]] = {}  # by stage; applied together, as two may only be valid together
    for parameter in parameters():
        if parameter.name not in changes:
            continue
        value = parameter.checked(changes[parameter.name])
        stage, _, key = parameter.name.rpartition(".")
        present = getattr(getattr(settings.pipeline, stage) if stage else settings.node, key)
        if (_without_empty(value) if parameter.kind is tuple else value) == present:
            continue
        if running and not (parameter.live or parameter.reload):
            live = ", ".join(each.name for each in parameters() if each.live)
            raise ConfigError(
                f"parameter {parameter.name} is read at configure: deactivate and clean up the node, then set it "
                f"({live} may change at any time)."
            )
        if parameter.live:  # configure and ~/reload_objects read the others
            new.setdefault(stage, {})[key] = value
    node = replace(settings.node, **new.pop("", {}))
    stages = {stage: replace(getattr(settings.pipeline, stage), **values) for stage, values in new.items()}
    return replace(settings, node=node, pipeline=replace(settings.pipeline, **stages))


def reread(settings: Settings, newer: Settings) -> Settings:
    """``settings`` with what ``~/reload_objects`` reads again as ``newer`` has it."""
    names = [parameter.name for parameter in parameters() if parameter.reload]
    return replace(settings, node=replace(settings.node, **{name: getattr(newer.node, name) for name in names}))


def _without_empty(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts that are not empty: [""] stands for an empty list."""
    return tuple(text for text in texts if text)


def _parameters(cls: Any, prefix: str) -> Iterator[Parameter]:
    hints = get_type_hints(cls)
    for entry in fields(cls):
        kind = hints[entry.name]
        if is_dataclass(kind):
            yield from _parameters(kind, f"{prefix}{entry.name}.")
        else:
            kind = kind if isinstance(kind, type) and kind in (bool, int, float, str) else tuple
            yield Parameter(prefix + entry.name, kind, entry.default, entry.metadata)
