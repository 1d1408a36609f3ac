"""The pages in a browser, at the width of a desk and of a telephone: nothing cut off, nothing overlapping."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest
from run_writing import picture_inputs, write_false_alarms, write_labelled, write_tracked, write_unlabelled

from pose_node.evaluation.report.compare import compare, write_comparison
from pose_node.evaluation.report.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome to look with")

WIDTHS = (1280, 900, 400)

# Run inside a copy of the page (the page itself has no script); what it finds goes into the page around it.
LOOK = """
<script>
const found = [], wide = document.documentElement.clientWidth;
const name = e => e.tagName + "." + (e.getAttribute("class") || "") + ": " + e.textContent.slice(0, 40);
if (document.documentElement.scrollWidth > wide) found.push("the page is wider than the window");
for (const e of document.querySelectorAll("body *:not(script)")) {
  const box = e.getBoundingClientRect();
  if (box.width && (box.left < -0.5 || box.right > wide + 0.5)) found.push("out of the window: " + name(e));
  if (e.matches(".card, figure, td, li, h1, p") && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != "inline")
    found.push("cut off: " + name(e));
}
const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
const among = (elements) => elements.forEach((e, i) => elements.slice(i + 1).forEach(f => {
  if (!apart(e.getBoundingClientRect(), f.getBoundingClientRect())) found.push("overlap: " + name(e) + " and " + name(f));
}));
for (const svg of document.querySelectorAll("svg")) {
  const texts = [...svg.querySelectorAll("text")], frame = svg.getBoundingClientRect();
  among(texts);
  for (const t of texts) {
    const box = t.getBoundingClientRect();
    if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
      found.push("outside of its chart: " + name(t));
    if (box.height < 9 && box.width < 9) found.push("too small: " + name(t));
  }
}
for (const row of document.querySelectorAll("tr")) among([...row.children].map(c => c.firstElementChild).filter(c => c));
among([...document.querySelectorAll("figure, .card, h1, h2")]);
parent.document.getElementById("found").append(JSON.stringify([innerWidth, found]) + "\\n");
</script></body>"""


def look(page, folder) -> dict[int, list[str]]:
    """{width of the window: what is wrong there}. A browser's own window has a least width, a frame inside it has none."""
    inside = html.escape(page.read_text(encoding="utf-8").replace("</body>", LOOK), quote=True)
    frames = "".join(f'<iframe width="{w}" height="900" frameborder="0" srcdoc="{inside}"></iframe>' for w in WIDTHS)
    around = folder / "around.html"
    around.write_text(f'<!doctype html><meta charset="utf-8"><pre id="found"></pre>{frames}', encoding="utf-8")
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    words += [f"--user-data-dir={folder / 'profile'}", "--window-size=1400,900", "--dump-dom", around.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    output = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert output, done.stderr[-2000:]
    return dict(json.loads(html.unescape(line)) for line in output.group(1).splitlines())


LONG = tuple(f"object_with_a_rather_long_name_{i:02d}" for i in range(9))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    a = write_labelled(folder / "a", objects=LONG, source="a_set_of_a_long_name_without_any_space_in_it" * 3)
    b = write_labelled(folder / "b", objects=LONG, spoilt=0.5, reference="set")
    return {
        "labelled": write_report(a),
        "own": write_report(write_labelled(folder / "own", objects=LONG, reference="card", spoilt=0.06, slow=200.0)),
        "alarms": write_report(write_false_alarms(folder / "alarms"), picture_inputs()),
        "few": write_report(write_labelled(folder / "few", objects=LONG, scenes=1, spoilt=0.6), picture_inputs()),
        "unlabelled": write_report(write_unlabelled(folder / "bag")),
        "tracked": write_report(write_tracked(folder / "tracked", others=15, scenes=("drive", "drive_2"))),
        "compared": write_comparison(compare(a, b)),
    }


@pytest.mark.parametrize("kind", ["labelled", "own", "alarms", "few", "unlabelled", "tracked", "compared"])
def test_nothing_is_cut_off_and_nothing_overlaps(pages, tmp_path, kind):
    assert look(pages[kind], tmp_path) == {width: [] for width in WIDTHS}


def test_the_look_sees_what_is_wrong(tmp_path):
    page = tmp_path / "page.html"
    boxes = '<p style="width:2000px">wide</p><svg viewBox="0 0 360 240"><text x="9" y="50">one</text><text x="12" y="52">two</text></svg>'
    page.write_text(f"<!doctype html><body>{boxes}</body>", encoding="utf-8")
    for found in look(page, tmp_path).values():
        assert any(line.startswith("overlap") for line in found) and any("out of the window" in line for line in found)
