"""Write the measured figures into the README, between its two markers, from ``results/*.json``: no figure is typed by hand.

python -m benchmarks.readme
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks import results, table

BEGIN, END = "<!-- measured: begin (python -m benchmarks.readme) -->", "<!-- measured: end -->"
README = results.ROOT / "README.md"


def block() -> str:
    """The section's text; a benchmark that has not been run is named as such."""
    loaded = {path.stem: json.loads(path.read_text()) for path in sorted(results.FOLDER.glob("*.json"))}
    found = {name: content["figures"] for name, content in loaded.items() if "figures" in content}
    sets = table.load()
    if table.ranked(sets):
        found["sets"] = _of_sets(sets)
    lines = ["| measured by `python -m benchmarks.<name>` | result |", "|---|---|"]
    for name, sentence in (
        ("sets", _sets),
        ("real", _real),
        ("rendered", _rendered),
        ("exactness", _exactness),
        ("mirror", _mirror),
        ("false_alarms", _false_alarms),
        ("speed", _speed),
        ("mesh_to_onnx", _mesh_to_onnx),
        ("node_start", _node_start),
        ("providers", _providers),
        ("node_rate", _node_rate),
        ("motion", _motion),
        ("motion_late", _motion_late),
        ("faults", _faults),
        ("tf_faults", _tf_faults),
        ("soak", _soak),
        ("long_bag", _long_bag),
    ):
        lines.append(f"| `{name}` | {sentence(found[name]) if name in found else 'not run yet'} |")
    dates = sorted({loaded[name]["date"][:10] for name in found if name in loaded})
    machine = next(iter(loaded[name]["machine"] for name in found if name in loaded), {})
    lines += [
        "",
        f"{machine.get('cores')} cores of {machine.get('cpu')}, {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.",
    ]
    return "\n".join(lines)


def write() -> None:
    """Replace what stands between the markers. Raises ValueError when the README lacks them."""
    text = README.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{README.name}: found no markers, expected {BEGIN!r} and {END!r}.")
    head, rest = text.split(BEGIN)
    README.write_text(f"{head}{BEGIN}\n{block()}\n{END}{rest.split(END)[1]}")


def _percent(value: float) -> str:
    return f"{100.0 * value:.0f} %"


def _real(f: dict[str, Any]) -> str:
    return (
        f"{f['masked_labels']} real labels of six objects, true mask: {_percent(f['masked_mssd_depth'])} within 10 % of the "
        f"diameter (PPF {_percent(f['ppf_mssd_depth'])}, FPFH+RANSAC {_percent(f['ransac_mssd_depth'])}, each with our "
        f"refinement); the label is the estimate or an alternative in {_percent(f['masked_in_alternatives'])}; ADD(-S) "
        f"{_percent(f['masked_adds'])}. No mask: {_percent(f['unmasked_mssd_depth'])}; false alarms: {f['unmasked_false_alarms']} "
        f"in {f['unmasked_frames']} frames"
    )


def _of_sets(sets: dict[str, Any]) -> dict[str, Any]:
    names = table.ranked(sets)
    left_out = table.missing(sets, names)
    return {**table.of_sets(sets, names), "sets": len(names), "left_out": left_out, "below": table.below(sets)[0]}


def _sets(f: dict[str, Any]) -> str:
    each = ", ".join(
        f"{title} {_percent(f[f'{method}_mssd_depth'])} ({f[f'{method}_ms_p50']:.0f} ms)"
        for method, title in table.TITLES.items()
    )
    return (
        f"{f['labels']} labels of {f['sets']} ranked sets, true masks, one thread, the same refinement for all: {each}; below "
        f"the best peer by more than the interval on {', '.join(f['below']) or 'none'}. {f['left_out']} of their labels left out "
        "for want of a network, all named in [the table](docs/results.md)"
    )


def _rendered(f: dict[str, Any]) -> str:
    plain = ", ".join(
        f"{name} {100.0 * f[f'{name}_recall']:.1f} %"
        for name in ("mustard_bottle", "banana", "bowl", "gelatin_box", "potted_meat_can")
    )
    return (
        f"1,000 noisy, cluttered, occluded views each, turned less than 5 degrees: {plain}; mug with its handle in view "
        f"{_percent(f['mug_handle_recall'])}, without it the axis in {_percent(f['mug_hidden_axis_recall'])}"
    )


def _exactness(f: dict[str, Any]) -> str:
    again = "; ".join(
        f"{motion}, median {f[f'rerendered_{way}_deg_p50']:.1f} degrees, p95 {f[f'rerendered_{way}_deg_p95']:.0f}, "
        f"{f[f'rerendered_{way}_flips']} of {f[f'rerendered_{way}_views']} answers changed"
        for way, motion in (("roll", "rolled"), ("arc", "moved by 15 degrees"))
    )
    return (
        f"1,000 rigid motions of points and viewpoint, 99th percentile: real {f['real_pipeline_rotation_deg_p99']:.1g} degrees, "
        f"rendered {f['rendered_pipeline_rotation_deg_p99']:.1g}; re-ordered points: {f['permutation_differing']} of "
        f"{f['permutation_tried']} differ in any byte. Without a promise, a camera that sees other pixels of the scene: {again}"
    )


def _mirror(f: dict[str, Any]) -> str:
    return (
        f"{f['parts']} chiral parts against their mirror images: area under the score's ROC curve {f['auc_pooled']:.2f} pooled, "
        f"{f['auc_min']:.2f} at worst"
    )


def _false_alarms(f: dict[str, Any]) -> str:
    worst = max((key for key in f if key.endswith("_a_frame") and key != "mean_a_frame"), key=lambda key: f[key])
    return (
        f"{f['objects']} objects, each by itself, without a mask in {f['frames']} frames of a kitchen that holds none: "
        f"{f['mean_a_frame']:.2f} false alarms a frame and object, {f[worst]:.2f} at worst ({worst.removesuffix('_a_frame')}); "
        f"one in ten frames with judge.min_score {f['mean_threshold']:.2f}"
    )


def _speed(f: dict[str, Any]) -> str:
    peers = " and ".join(
        f"{f[key]:.1f} times faster than {key.removeprefix('times_faster_than_').replace('_', ' ')}"
        for key in f
        if key.startswith("times_faster_than_")
    )
    return f"one crop to a refined pose on one thread: {f['ours_ms_p50']:.0f} ms median, {f['ours_ms_p99']:.0f} ms p99; {peers}"


def _mesh_to_onnx(f: dict[str, Any]) -> str:
    return f"from a mesh to an exported network on two cores: {f['mesh_to_onnx_minutes']:.1f} minutes"


def _node_rate(f: dict[str, Any]) -> str:
    each = "; ".join(
        f"{name} tracked: {f[f'{name}_hz']:.0f} Hz, {f[f'{name}_latency_ms_p50']:.0f} ms from image to poses (p99 "
        f"{f[f'{name}_latency_ms_p99']:.0f}), {f[f'{name}_cores']:.1f} cores, {f[f'{name}_resident_mb']:.0f} MB and "
        f"{f[f'{name}_detector_mb']:.0f} MB for the detector"
        for name in ("one", "five")
    )
    late = f"one with its /tf 100 ms late: {f['late_hz']:.0f} Hz, {f['late_latency_ms_p50']:.0f} ms"
    return f"640x480 depth at {f['sent_hz']:.0f} Hz over DDS, no masks: {each}; {late}"


def _motion(f: dict[str, Any]) -> str:
    names = [key.removesuffix("_plain_spread_mm") for key in f if key.endswith("_plain_spread_mm")]
    each = "; ".join(
        f"{name} {f[f'{name}_plain_spread_mm']:.2f} mm and {f[f'{name}_plain_spread_deg']:.2f} degrees (each frame alone "
        f"{f[f'{name}_alone_spread_mm']:.2f} and {f[f'{name}_alone_spread_deg']:.2f})"
        for name in names
    )
    flips = sum(int(f[key]) for key in f if key.endswith("_flips") and "_alone_" not in key)
    return (
        f"a camera on an arc of 60 degrees round a still object at 1 m, spread of its track in the fixed frame (95th percentile): "
        f"{each}; {flips} flips in all conditions. Squared error by the stated covariance, a degree of freedom: {f['plain_nees_per_dof']:.2f}, and with "
        f"a camera and a mesh that err, too, {f['erring_nees_per_dof']:.2f} (right: {f['erring_nees_low']:.2f} to {f['erring_nees_high']:.2f})"
    )


def _motion_late(f: dict[str, Any]) -> str:
    ways = [key.removesuffix("_runs") for key in f if key.endswith("_runs")]
    found, runs = (sum(int(f[f"{way}_{what}"]) for way in ways) for what in ("found", "runs"))
    slowest_s = max(f[f"{way}_seconds_max"] for way in ways)
    wrong = max(f[f"{way}_wrong"] for way in ways)
    return (
        f"an object that enters while another is tracked, 5 to 30 Hz with stamps that jitter, with masks and without: {found} of {runs} tracked, "
        f"after {slowest_s:.1f} s at worst; frames with a confirmed track in a wrong place: {_percent(wrong)} at worst. The demo's frames whose first "
        f"detection is wrong: {_percent(f['demo_wrong'])} with that track confirmed, {_percent(f['demo_right'])} with the right one"
    )


def _faults(f: dict[str, Any]) -> str:
    return (
        f"{f['messages']} fuzzed messages by DDS: {f['crashes']} crashes, {f['not_finite']} poses that are no numbers, "
        f"{f['wrong_stamps']} wrong stamps, {f['unanswered']} of {f['good_frames']} good frames without an answer"
    )


def _tf_faults(f: dict[str, Any]) -> str:
    worst = min(value for key, value in f.items() if key.startswith("lag_"))
    return (
        f"frames of a camera on an arm that are answered beside a publisher of /tf that is 1.6 s behind: {_percent(worst)} at worst; "
        f"one of stamp 0: {_percent(f['zero_stamp_answered'])}; a localisation a second ahead and an arm 80 ms late: "
        f"{_percent(f['post_dated_answered'])}; the node's own frames 1.5 s late: {_percent(f['own_frames_answered'])}"
    )


def _soak(f: dict[str, Any]) -> str:
    return (
        f"{f['cycles']} times deactivated and activated: memory grows by {100 * f['cycles_growth']:.1f} %; then {f['seconds'] / 3600:g} h of "
        f"{f['frames']} frames, {_percent(f['answered'])} answered: {100 * f['node_growth']:.1f} % (of its peaks "
        f"{100 * f['node_peak_growth']:.1f} %), its detector {100 * f['detector_growth']:.1f} % ({100 * f['detector_peak_growth']:.1f} %)"
    )


def _long_bag(f: dict[str, Any]) -> str:
    return (
        f"a bag of {f['frames']} frames: two processes are {f['jobs_2_times_faster']:.2f} times as fast as one; memory grows by "
        f"{_percent(f['jobs_1_memory_growth'])} and {_percent(f['jobs_2_memory_growth'])}"
    )


def _node_start(f: dict[str, Any]) -> str:
    return f"the node with one object: ready after {f['ready_s_max']:.1f} s at worst, {f['resident_mb_max']:.0f} MB resident"


def _providers(f: dict[str, Any]) -> str:
    return (
        f"one H100 beside 16 cores of its machine, {f['crops']} real crops: one call of a network {f['cuda_network_ms_p50']:.0f} ms "
        f"({f['cpu_network_ms_p50']:.0f} on the CPU), a crop to its pose {f['cuda_estimate_ms_p50']:.0f} ms "
        f"({f['cpu_estimate_ms_p50']:.0f}); outputs equal to {f['outputs_rel_max']:.0e}, poses within {f['pose_deg_max']:.2g} degrees, "
        f"equivariant to {f['cuda_onnx_rel_max']:.0e} ({f['cpu_onnx_rel_max']:.0e})"
    )


if __name__ == "__main__":
    write()
