"""The Markdown pages: their links lead somewhere, and the README is short enough to be read."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FOLDERS = ("conf", "ddpg", "docs", "scripts", "tests")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]

FENCED = re.compile(r"^ *(```+|~~~+)[^\n]*\n(.*?)^ *\1", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)[^)]*\)|^ *\[[^\]]+\]:\s*(\S+)|\b(?:src|href)=\"([^\"]+)\"", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def links(page: Path) -> list[str]:
    """The targets of the page's links and pictures, but for those on the web."""
    text = INLINE_CODE.sub("code", FENCED.sub("", page.read_text(encoding="utf-8")))
    targets = [target for groups in LINK.findall(text) for target in groups if target]
    return [unquote(target) for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the page's headings: `## Add a stop` is `add-a-stop`."""
    found: list[str] = []
    for heading in HEADING.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return set(found)


def dead(page: Path) -> list[str]:
    """Those of the page's links that lead to no file, or to no heading in it."""
    found = []
    for link in links(page):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    assert dead(page) == []


def test_dead_links_are_found(tmp_path):
    page, other = tmp_path / "page.md", tmp_path / "other page.md"
    other.write_text("# What μ is, *and* `Q'`\n\n```\n# no heading\n```\n\n## Twice\n\n## Twice\n")
    page.write_text(
        "[good](other%20page.md#what-μ-is-and-q) ![good](<other%20page.md>) [good](other%20page.md#twice-1)\n"
        "[web](https://example.org/none) `[code](none)` [`code`](page.md)\n```\n[code](none)\n```\n"
        "![a picture\nof two lines](none.png) [dead](other%20page.md#twice-2) [dead](#here)\n"
        '[dead][1] <img src="none.svg">\n\n[1]: none.md\n'
    )
    assert dead(page) == ["none.png", "other page.md#twice-2", "#here", "none.svg", "none.md"]


def test_the_readme_has_at_most_200_lines():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


def test_code_in_the_readme_is_not_cut_off_on_github():
    blocks = [block for _, block in FENCED.findall(README.read_text(encoding="utf-8"))]
    assert [line for block in blocks for line in block.splitlines() if len(line) > 88] == []
