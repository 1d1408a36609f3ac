"""A report page as a browser parses it, with the checks that every page must pass."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "path", "wbr"}


class Checked(HTMLParser):
    """Collects texts, and fails on tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def page_of(path) -> Checked:
    text = path.read_text(encoding="utf-8")
    checked = Checked(text)
    assert all(link.startswith("data:") for link in checked.links)
    assert "http" not in re.sub(r"data:[^\"]*", "", text) and "<script" not in text and "@import" not in text
    assert "nan" not in re.sub(r"data:[^\"]*", "", text).lower().split() and "None" not in checked.texts
    return checked
