"""The Markdown pages: their links lead somewhere, and the README is short enough to be read."""

import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from conftest import identical, weights
from gymnasium.spaces import Box

from ddpg import DDPG, ReplayBuffer

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


def test_the_networks_for_images_share_an_encoder_that_only_the_critics_loss_trains():
    code = next(block for _, block in FENCED.findall((ROOT / "docs" / "images.md").read_text(encoding="utf-8")))
    exec(code, page := {})
    spaces = Box(0, 255, (20, 24, 3), np.uint8), Box(np.float32([-1, 0]), np.float32([1, 5]))
    agent, buffer = DDPG(*spaces, actor=page["Actor"], critic=page["Critic"]), ReplayBuffer(9, *spaces)
    images = np.random.default_rng(0).integers(0, 256, (9, 20, 24, 3), np.uint8)
    buffer.add(images, agent.act(images, explore=True), np.arange(9), images[::-1], np.zeros(9))
    encoder = next(each for each in agent.actor.modules() if isinstance(each, page["Encoder"]))
    assert encoder in set(agent.critic.modules())
    with torch.no_grad():
        # A pixel of channel 1 stays a pixel of channel 1.
        seen = encoder(torch.from_numpy(images.reshape(9, -1) / 255).float())
        expected = encoder.layers(torch.from_numpy(images / 255).float().permute(0, 3, 1, 2))
    assert torch.equal(seen, expected)
    former = weights(agent.critic)
    agent.update_actor(buffer.sample(4))
    assert identical(former, weights(agent.critic))
    former = weights(encoder)
    agent.update_critic(buffer.sample(4))
    assert not any(map(torch.equal, former, weights(encoder)))
