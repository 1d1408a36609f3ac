"""Which figures the documents show: for each benchmark its title and its rows. No value is written here; ``readme`` takes them from results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

RENDERED = ("mustard_bottle", "banana", "bowl", "gelatin_box", "potted_meat_can")  # their recall is that of all views
CPU, GPU = "CPU, 16 cores", "one H100"


class Figure(NamedTuple):
    """One row. what and condition: text, in which ``{key}`` stands for a figure of the same benchmark; key: the figure's name.

    digits: behind the point; None: one significant digit. in_readme: shown in README too, not in docs/measured.md alone.
    """

    what: str
    condition: str
    key: str
    unit: str = ""
    digits: int | None = 0
    in_readme: bool = False


def _rendered() -> list[Figure]:
    rows = [Figure("recall", name, f"{name}_recall", "%", 1) for name in RENDERED]
    return [
        Figure("recall, rendered views", "mask, {lowest_name}: lowest of five objects", "lowest", "%", 1, True),
        Figure("recall, rendered views", "mask, {highest_name}: highest of five objects", "highest", "%", 1, True),
        *rows,
        Figure("recall", "mug, all views", "mug_recall", "%", 1),
        Figure("recall, rendered views", "mask, mug with its handle in view", "mug_handle_recall", "%", 0, True),
        Figure("recall of the axis", "mug, handle hidden", "mug_hidden_axis_recall", "%"),
    ]


def _exactness() -> list[Figure]:
    rows = [
        Figure(
            "rotation error, 99th percentile",
            "rigid motion, real crops",
            "real_pipeline_rotation_deg_p99",
            "deg",
            None,
            True,
        ),
        Figure(
            "rotation error, 99th percentile",
            "rigid motion, rendered crops",
            "rendered_pipeline_rotation_deg_p99",
            "deg",
            None,
        ),
        Figure(
            "answers with different bytes",
            "{permutation_tried} orders of the points",
            "permutation_differing",
            "",
            0,
            True,
        ),
    ]
    for way, motion in (("roll", "camera rolled"), ("arc", "camera moved by 15 deg")):
        rows += [
            Figure("rotation difference, median", f"{motion}, rendered again", f"rerendered_{way}_deg_p50", "deg", 1),
            Figure(
                "rotation difference, 95th percentile", f"{motion}, rendered again", f"rerendered_{way}_deg_p95", "deg"
            ),
            Figure(
                "accept or reject changed", f"{motion}, {{rerendered_{way}_views}} views", f"rerendered_{way}_flips"
            ),
        ]
    return rows


def _providers() -> list[Figure]:
    rows = []
    for name, device in (("cpu", CPU), ("cuda", GPU)):
        rows += [
            Figure("one network call, median", device, f"{name}_network_ms_p50", "ms"),
            Figure("one crop to a pose, median", device, f"{name}_estimate_ms_p50", "ms"),
            Figure("equivariance error, largest", device, f"{name}_onnx_rel_max", "", None),
        ]
    return [
        *rows,
        Figure("output difference, largest", "GPU against CPU", "outputs_rel_max", "", None),
        Figure("pose difference, largest", "GPU against CPU", "pose_deg_max", "deg"),
    ]


def _node_rate() -> list[Figure]:
    rows = []
    for name, objects in (("one", "one object"), ("five", "five objects")):
        rows += [
            Figure("poses a second", f"{objects}, {{sent_hz:.0f}} Hz depth, 2 cores", f"{name}_hz", "Hz", 0, True),
            Figure("image to poses, median", objects, f"{name}_latency_ms_p50", "ms", 0, name == "one"),
            Figure("image to poses, 99th percentile", objects, f"{name}_latency_ms_p99", "ms"),
            Figure("processor time", objects, f"{name}_cores", "cores", 1),
            Figure("memory of the node", objects, f"{name}_resident_mb", "MB"),
            Figure("memory of its detector process", objects, f"{name}_detector_mb", "MB"),
        ]
    late = "one object, /tf 100 ms late"
    return [
        *rows,
        Figure("poses a second", late, "late_hz", "Hz"),
        Figure("image to poses, median", late, "late_latency_ms_p50", "ms"),
    ]


def _motion() -> list[Figure]:
    rows = [
        Figure("position spread of a track", "arc of 60 deg, largest of four objects", "spread_mm", "mm", 2, True),
        Figure("rotation spread of a track", "arc of 60 deg, largest of four objects", "spread_deg", "deg", 2, True),
    ]
    for name in ("mustard_bottle", "gelatin_box", "bowl", "mug"):
        for way, estimates in (("plain", "tracked"), ("alone", "frame by frame")):
            rows += [
                Figure("position spread", f"{name}, {estimates}", f"{name}_{way}_spread_mm", "mm", 2),
                Figure("rotation spread", f"{name}, {estimates}", f"{name}_{way}_spread_deg", "deg", 2),
            ]
    return [
        *rows,
        Figure("flips of more than 30 deg", "all objects and conditions, tracked", "flips"),
        Figure(
            "NEES a degree of freedom",
            "consistent: {plain_nees_low:.2f} to {plain_nees_high:.2f}",
            "plain_nees_per_dof",
            "",
            2,
        ),
        Figure(
            "NEES a degree of freedom",
            "camera and mesh err; consistent: {erring_nees_low:.2f} to {erring_nees_high:.2f}",
            "erring_nees_per_dof",
            "",
            2,
        ),
    ]


def _bare_clouds() -> list[Figure]:
    cuts = {
        "masked": "object's points, all-true mask",
        "object": "object's points",
        "object_tenth": "every tenth of the object's points",
        "box_1_5": "box of 1.5 times the object's size",
        "window": "pixel window with a margin",
        "frame": "whole frame",
    }
    return [Figure("recall", f"{condition}, {{labels}} labels", key, "%") for key, condition in cuts.items()]


# Benchmark -> its title, and its rows.
MEASURED: dict[str, tuple[str, list[Figure]]] = {
    "real": (
        "Labelled real frames, six objects",
        [
            Figure("recall, real frames", "mask, {masked_labels} labels", "masked_mssd_depth", "%", 0, True),
            Figure("recall of PPF", "mask, with our refinement", "ppf_mssd_depth", "%"),
            Figure("recall of FPFH+RANSAC", "mask, with our refinement", "ransac_mssd_depth", "%"),
            Figure("recall of the estimate or an alternative", "mask", "masked_in_alternatives", "%"),
            Figure("recall by ADD(-S)", "mask", "masked_adds", "%"),
            Figure("recall, real frames", "no mask, {unmasked_labels} labels", "unmasked_mssd_depth", "%", 0, True),
            Figure("false alarms", "no mask, {unmasked_frames} frames", "unmasked_false_alarms"),
        ],
    ),
    "rendered": ("Rendered views with noise, clutter and occlusion, 1,000 an object", _rendered()),
    "false_alarms": (
        "Frames without any of the objects, no mask, each object by itself",
        [
            Figure(
                "false alarms a frame and object",
                "no mask, {frames} frames, {objects} objects",
                "mean_a_frame",
                "",
                2,
                True,
            ),
            Figure("false alarms a frame", "{worst_name}: most of {objects}", "worst_a_frame", "", 2),
            Figure("threshold for one alarm in ten frames", "mean of {objects} objects", "mean_threshold", "", 2),
        ],
    ),
    "mirror": (
        "Chiral parts against their mirror images",
        [
            Figure("ROC AUC, part against mirror image", "{parts} chiral parts pooled", "auc_pooled", "", 2, True),
            Figure("ROC AUC, part against mirror image", "worst part", "auc_min", "", 2),
        ],
    ),
    "bare_clouds": ("Point clouds without a pixel grid or a mask", _bare_clouds()),
    "exactness": ("Equivariance and determinism", _exactness()),
    "motion": ("A camera on an arc of 60 deg around a static object, 1 m away", _motion()),
    "motion_late": (
        "An object that appears while another is tracked",
        [
            Figure("objects tracked", "of {runs} runs, 5 to 30 Hz", "found"),
            Figure("time until its track is confirmed", "slowest run", "slowest_s", "s", 1),
            Figure("frames with a misplaced confirmed track", "worst condition", "wrong", "%"),
            Figure("frames with a misplaced confirmed track", "first detection wrong", "demo_wrong", "%"),
            Figure("frames with the correct track confirmed", "first detection wrong", "demo_right", "%"),
        ],
    ),
    "speed": (
        "One crop to a refined pose, one thread",
        [
            Figure("crop to pose, median", "mask, one thread", "ours_ms_p50", "ms", 0, True),
            Figure("crop to pose, 99th percentile", "mask, one thread", "ours_ms_p99", "ms"),
            Figure("times faster than PPF", "medians", "times_faster_than_ppf", "", 1),
            Figure("times faster than FPFH+RANSAC", "medians", "times_faster_than_ransac", "", 1),
            Figure("times faster than PPF", "99th percentiles", "times_faster_than_ppf_p99", "", 1),
            Figure("times faster than FPFH+RANSAC", "99th percentiles", "times_faster_than_ransac_p99", "", 1),
        ],
    ),
    "first_hypothesis": (
        "The first hypothesis before refinement: backbone and bank, no training of the object, {ours_labels} real crops, true masks",
        [
            Figure("first pose right", "shared backbone", "ours_mssd", "%", 0, True),
            Figure("first pose right", "FPFH+RANSAC", "ransac_mssd", "%"),
            Figure("rotation error, median", "shared backbone", "ours_median_deg", "deg", 1),
            Figure("rotation below 5 deg", "shared backbone", "ours_below_5", "%"),
            Figure("rotation below 15 deg", "shared backbone", "ours_below_15", "%"),
            Figure("one of ten poses right", "shared backbone", "ours_any_mssd", "%"),
            Figure(
                "first pose right",
                "{own_network_labels} crops: a network for each object, earlier versions",
                "own_network_mssd",
                "%",
            ),
            Figure("first pose right", "the same crops: shared backbone", "ours_same_mssd", "%"),
        ],
    ),
    "onboarding": (
        "From a mesh to the first pose",
        [
            Figure("mesh to usable object, processor time", "10,000 faces", "10000_cpu_s", "s", 1, True),
            Figure("mesh to usable object, processor time", "100,000 faces", "100000_cpu_s", "s", 1),
            Figure("mesh to usable object, processor time", "1,000,000 faces", "1000000_cpu_s", "s", 0),
            Figure("memory", "1,000,000 faces", "1000000_memory_mb", "MB"),
            Figure("folder", "1,000,000 faces", "1000000_folder_mb", "MB", 1),
        ],
    ),
    "providers": ("The networks on a GPU, {crops} real crops", _providers()),
    "node_start": (
        "Start of the node with one object",
        [
            Figure("start to ready", "one object, slowest start", "ready_s_max", "s", 1, True),
            Figure("memory", "one object", "resident_mb_max", "MB"),
        ],
    ),
    "node_rate": ("The tracking node, 640x480 depth over DDS, no masks", _node_rate()),
    "node_reload": (
        "A new object for the node while it tracks another",
        [
            Figure("call to response", "one object added, median of {rounds}", "add_s_p50", "s", 1),
            Figure("call to response", "one object added, slowest", "add_s_max", "s", 1),
            Figure("call to response", "it is removed again, median", "remove_s_p50", "s", 1),
            Figure("poses a second", "while an object is added", "adding_hz", "Hz"),
            Figure("poses a second", "without a reload, same run", "steady_hz", "Hz"),
            Figure("longest time between answers", "while an object is added", "adding_longest_gap_ms", "ms"),
            Figure("longest time between answers", "without a reload, same run", "steady_longest_gap_ms", "ms"),
            Figure("answers with the tracked object", "while an object is added", "adding_tracked", "%"),
        ],
    ),
    "tf_faults": (
        "A camera on an arm beside faulty publishers of /tf",
        [
            Figure("frames answered", "publisher 1.6 s behind, worst rate", "lag_answered", "%"),
            Figure("frames answered", "publisher of stamp 0", "zero_stamp_answered", "%"),
            Figure("frames answered", "localisation 1 s ahead, arm 80 ms late", "post_dated_answered", "%"),
            Figure("frames answered", "own frames 1.5 s late", "own_frames_answered", "%"),
        ],
    ),
    "faults": (
        "The node under fuzzed messages",
        [
            Figure("crashes", "{messages} fuzzed messages", "crashes", "", 0, True),
            Figure("poses with values that are not finite", "{messages} fuzzed messages", "not_finite"),
            Figure("wrong stamps", "{messages} fuzzed messages", "wrong_stamps"),
            Figure("valid frames without an answer", "of {good_frames}", "unanswered"),
        ],
    ),
    "soak": (
        "The node over time",
        [
            Figure("memory growth", "{cycles} deactivations and activations", "cycles_growth", "%", 1),
            Figure("memory growth of the node", "{frames} frames in an hour", "node_growth", "%", 1, True),
            Figure("growth of its peak memory", "an hour of frames", "node_peak_growth", "%", 1),
            Figure("memory growth of the detector process", "an hour of frames", "detector_growth", "%", 1),
            Figure("growth of its peak memory", "an hour of frames", "detector_peak_growth", "%", 1),
            Figure("frames answered", "an hour of frames", "answered", "%"),
        ],
    ),
    "long_bag": (
        "`pose_node evaluate` on a bag of {frames} frames",
        [
            Figure("speed-up", "two processes", "jobs_2_times_faster", "x", 2),
            Figure("memory growth", "one process", "jobs_1_memory_growth", "%"),
            Figure("memory growth", "two processes", "jobs_2_memory_growth", "%"),
        ],
    ),
    "cut_bags": (
        "`pose_node evaluate` on bags cut at a random byte or with wrong contents",
        [
            Figure("reports", "of {tried} bags", "jobs_1_report"),
            Figure("refusals in one sentence", "of {tried} bags", "jobs_1_sentence"),
            Figure("anything else", "of {tried} bags", "jobs_1_neither"),
        ],
    ),
    "bop_average_recall": (
        "Average recall on the same poses",
        [
            Figure("AR, `pose_node evaluate`", "{labels:.0f} labels", "ours_ar", "", 3),
            Figure("AR, bop_toolkit", "{labels:.0f} labels", "toolkit_ar", "", 3),
        ],
    ),
}


def derived(found: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures of each benchmark with those that are made of several: extremes and sums."""
    out = {name: dict(figures) for name, figures in found.items()}
    if "rendered" in out:
        f = out["rendered"]
        for key, pick in (("lowest", min), ("highest", max)):
            name = pick(RENDERED, key=lambda name: f[f"{name}_recall"])
            out["rendered"] |= {key: f[f"{name}_recall"], f"{key}_name": name}
    if "false_alarms" in out:
        each = {
            key.removesuffix("_a_frame"): value
            for key, value in out["false_alarms"].items()
            if key.endswith("_a_frame")
        }
        each.pop("mean")
        worst = max(each, key=lambda name: each[name])
        out["false_alarms"] |= {"worst_a_frame": each[worst], "worst_name": worst}
    if "motion" in out:
        f = out["motion"]
        for unit in ("mm", "deg"):
            f[f"spread_{unit}"] = max(value for key, value in f.items() if key.endswith(f"_plain_spread_{unit}"))
        f["flips"] = sum(value for key, value in f.items() if key.endswith("_flips") and "_alone_" not in key)
    if "motion_late" in out:
        f = out["motion_late"]
        ways = [key.removesuffix("_runs") for key in f if key.endswith("_runs")]
        f |= {what: sum(f[f"{way}_{what}"] for way in ways) for what in ("found", "runs")}
        f["slowest_s"], f["wrong"] = (
            max(f[f"{way}_seconds_max"] for way in ways),
            max(f[f"{way}_wrong"] for way in ways),
        )
    if "tf_faults" in out:
        out["tf_faults"]["lag_answered"] = min(v for key, v in out["tf_faults"].items() if key.startswith("lag_"))
    if "cut_bags" in out:
        out["cut_bags"]["tried"] = out["cut_bags"]["cuts"] + out["cut_bags"]["wrong"]
    return out
