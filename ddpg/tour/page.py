"""What a page consists of, and its three looks: in a terminal, as Markdown, as a web page."""

import base64
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import markdown
from matplotlib import rc_context
from matplotlib.figure import Figure
from rich.console import Console
from rich.markdown import Markdown

from ddpg.base.progress import fleeting

WIDTH = 80
MEASURED = "≈"
"""Stands before what depends on the machine and the moment; all else is the same in every run."""

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color: #222; }
img { max-width: 100%; height: auto; }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
@media (max-width: 600px) { p:has(img) { overflow-x: auto; } img { max-width: none; width: 44rem; } }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
"""


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str

    def markdown(self) -> str:
        """As Markdown."""
        return self.text


@dataclass(frozen=True)
class Code:
    """Lines of code, under what they are called."""

    name: str
    lines: str

    def markdown(self) -> str:
        """As Markdown."""
        return f"{self.name}:\n\n```python\n{self.lines}\n```"


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As Markdown."""
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in (self.header, *self.rows)]
        lines = [f"| {' | '.join(row)} |" for row in escaped]
        lines.insert(1, "|---" * len(self.header) + "|")
        return "\n".join(lines)


@dataclass(frozen=True)
class Picture:
    """A picture, by the name of its file, and what it shows in words."""

    name: str
    shows: str
    draw: Callable[[], Figure] = field(repr=False)

    def markdown(self) -> str:
        """As Markdown."""
        return f"![{self.shows}]({self.name})"


Block = Prose | Code | Table | Picture


@dataclass(frozen=True)
class Section:
    """A title, and what stands under it."""

    title: str
    blocks: Sequence[Block]

    def markdown(self) -> str:
        """As Markdown."""
        return "\n\n".join([f"## {self.title}", *(block.markdown() for block in self.blocks)])

    def pictures(self) -> list[Picture]:
        """Its pictures."""
        return [block for block in self.blocks if isinstance(block, Picture)]


def show(section: Section) -> None:
    """Print a section, 80 columns wide."""
    text = re.sub(r"!\[(.*?)\]\((.*?)\)", r"*Picture \2 (written with --output DIR): \1.*", section.markdown())
    Console(width=WIDTH).print(Markdown(text), "\n")


def write(name: str, title: str, sections: Sequence[Section], folder: Path) -> list[Path]:
    """Write the pictures, `<name>.md` and `<name>.html`, which needs no other file and no network."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [picture for section in sections for picture in section.pictures()]
    for picture in fleeting(pictures, "drawing", " pictures"):
        save(picture.draw(), folder / picture.name)
    text = "\n\n".join([f"# {title}", *(section.markdown() for section in sections)]) + "\n"
    page, web_page = folder / f"{name}.md", folder / f"{name}.html"
    page.write_text(text)
    web_page.write_text(_html(title, text, folder))
    return [page, web_page, *(folder / picture.name for picture in pictures)]


def save(figure: Figure, path: Path) -> None:
    """Write a figure, in the format that the file's name says: .svg or .png."""
    if path.suffix == ".svg":
        path.write_text(svg(figure))
    else:
        figure.savefig(path, dpi=130)


def svg(figure: Figure) -> str:
    """A figure as SVG, the same figure as the same text."""
    text = io.StringIO()
    with rc_context({"svg.hashsalt": "ddpg"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _html(title: str, text: str, folder: Path) -> str:
    def inlined(match: re.Match[str]) -> str:
        data = base64.b64encode((folder / match[1]).read_bytes()).decode()
        kind = {".svg": "svg+xml", ".png": "png"}[Path(match[1]).suffix]
        return f'src="data:image/{kind};base64,{data}"'

    body = re.sub(
        r'src="([^"]+[.](?:svg|png))"', inlined, markdown.markdown(text, extensions=["tables", "fenced_code"])
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{body}\n</body>\n</html>\n"
    )
