"""``pose_node view``: show a recording, or a running node."""

from __future__ import annotations

import argparse

from pose_node.errors import InputError
from pose_node.evaluation.options import labels_of, topics_of

DONE, NOTHING_FOUND = 0, 3


def view(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code. Raises PoseNodeError with one sentence for invalid options or input."""
    if (options.bag is None) == (not options.live):
        raise InputError("view: found neither or both of a bag and --live, expected one of them.")
    models = options.models or ""
    if options.live:
        of_bags = (options.labels, options.fixed_frame, options.viewpoint_frame, options.config)
        if any(of_bags) or options.depth_scale is not None:
            raise InputError(
                "--live: found --labels, --fixed-frame, --config, --viewpoint-frame or --depth-scale, expected none: the node "
                "has its own settings."
            )
        from pose_node.viewing.live import view_live

        view_live(options.node, models, options.objects, topics_of(options), options.save)
        return DONE
    if not options.bag.exists():
        raise InputError(f"{options.bag}: no such file or folder, expected a bag.")
    from pose_node.evaluation.runs.bag_run import open_bag
    from pose_node.viewing.recorded import view_bag

    selection = (options.objects, topics_of(options), labels_of(options), options.fixed_frame)
    read_as = {"depth_scale_mm": options.depth_scale, "viewpoint_frame": options.viewpoint_frame}
    found = view_bag(*open_bag(options.bag, models, options.config, *selection, **read_as), save=options.save)
    if options.save is not None:
        print(f"written: {options.save}; open it with: rerun {options.save}")
    return DONE if found else NOTHING_FOUND
