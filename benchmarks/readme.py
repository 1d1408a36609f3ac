"""Write the measured figures into README.md and docs/measured.md, from ``results/*.json``: no figure is typed by hand.

    python -m benchmarks.readme

README shows the comparison with the peers and the rows of ``figures`` that are marked for it; docs/measured.md shows all rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import figures, results, table
from benchmarks.figures import MEASURED, Figure

BEGIN, END = "<!-- measured: begin (python -m benchmarks.readme) -->", "<!-- measured: end -->"
README, PAGE = results.ROOT / "README.md", results.ROOT / "docs" / "measured.md"
NOT_RUN = "not run yet"


def load() -> dict[str, dict[str, Any]]:
    """Benchmark -> its result file, with the derived figures."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.FOLDER.glob("*.json"))}
    found = {name: content for name, content in found.items() if name in MEASURED}
    made = figures.derived({name: content["figures"] for name, content in found.items()})
    return {name: {**content, "figures": made[name]} for name, content in found.items()}


def block(loaded: Mapping[str, Any], sets: Mapping[str, Any]) -> str:
    """README's tables. loaded: as of ``load``; sets: as of ``table.load``."""
    rows = [
        (row.what, filled(row.condition, loaded, name), value(row, loaded, name), f"`{name}`")
        for name, (_, each) in MEASURED.items()
        for row in each
        if row.in_readme
    ]
    return "\n".join([*_peers(sets), "", *table.lines(("figure", "condition", "value", "command"), rows)])


def page(loaded: Mapping[str, Any]) -> str:
    """docs/measured.md."""
    lines = [
        "# Measured figures",
        "",
        "Written by `python -m benchmarks.readme` from `benchmarks/results/*.json`. Each section is one benchmark.",
        "What the terms mean and what falls short: [benchmarks/README.md](../benchmarks/README.md).",
        "The comparison with other methods: [results.md](results.md).",
    ]
    for name, (title, rows) in MEASURED.items():
        lines += ["", f"## {filled(title, loaded, name)}", _origin(name, loaded.get(name)), ""]
        cells = [(row.what, filled(row.condition, loaded, name), value(row, loaded, name)) for row in rows]
        lines += table.lines(("figure", "condition", "value"), cells)
    return "\n".join(lines) + "\n"


def write() -> None:
    """Replace what stands between README's markers, and docs/measured.md. Raises ValueError when README lacks the markers."""
    text = README.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{README.name}: found no markers, expected {BEGIN!r} and {END!r}.")
    loaded = load()
    head, rest = text.split(BEGIN)
    results.write_text(README, f"{head}{BEGIN}\n{block(loaded, table.load())}\n{END}{rest.split(END)[1]}")
    results.write_text(PAGE, page(loaded))


def value(row: Figure, loaded: Mapping[str, Any], name: str) -> str:
    """The figure of a row with its unit."""
    if name not in loaded:
        return NOT_RUN
    number = loaded[name]["figures"][row.key] * (100.0 if row.unit == "%" else 1.0)
    return f"{number:{'.1g' if row.digits is None else f'.{row.digits}f'}} {row.unit}".strip()


def filled(text: str, loaded: Mapping[str, Any], name: str) -> str:
    """``text`` with the benchmark's figures in place of ``{key}``."""
    return text.format(**loaded[name]["figures"]) if name in loaded else text


def _origin(name: str, content: Mapping[str, Any] | None) -> str:
    """Command, machine and date of a result, as a line of text."""
    if content is None:
        return f"`python -m benchmarks.{name}`: {NOT_RUN}."
    machine = content["machine"]
    return f"`{content['command']}`, {content['date'][:10]}, {machine['cores']} cores of {machine['cpu']}."


def _peers(sets: Mapping[str, Any]) -> Sequence[str]:
    """Recall and time of each method over the ranked sets."""
    names = table.ranked(sets)
    if not names:
        return [f"`python -m benchmarks.sets`: {NOT_RUN}."]
    f = table.of_sets(sets, names)
    rows = [
        (title, f"{100 * f[f'{method}_mssd_depth']:.0f} %", f"{f[f'{method}_ms_p50']:.0f} ms")
        for method, title in table.titles(f).items()
    ]
    head = (
        f"{f['labels']} real labels of {len(names)} data sets, mask given, one thread, our refinement for all (`sets`):"
    )
    return [head, "", *table.lines(("method", "recall", "median time"), rows)]


if __name__ == "__main__":
    write()
