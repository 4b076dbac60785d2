"""`scripts/tour.py`: which sections are shown, and where; in a terminal, in a notebook, or as a page."""

import argparse
import contextlib
import io
import sys
from pathlib import Path

from ddpg.tour.page import Picture, Section, show, svg, write
from ddpg.tour.sections import SECTIONS

TITLE = "Stopping gradients, a tour"


class Tour:
    """Shows sections one by one, and writes the page of them at the end.

    Args:
        arguments: those of the command line; in a notebook none.
    """

    def __init__(self, arguments: list[str]) -> None:
        parser = argparse.ArgumentParser(description="The ways to stop a gradient, each run and measured.")
        parser.add_argument("sections", nargs="*", metavar="section", help=f"{', '.join(SECTIONS)}; all by default")
        parser.add_argument("--output", type=Path, metavar="DIR", help="write the pictures, tour.md and tour.html")
        options = parser.parse_args(arguments)
        for name in options.sections:
            if name not in SECTIONS:
                parser.error(f"{name}: no such section; there are {', '.join(SECTIONS)}.")
        self._chosen = options.sections or list(SECTIONS)
        self._output = options.output
        self._shown: list[Section] = []

    @classmethod
    def start(cls) -> "Tour":
        """The tour that the command line asks for, or in a notebook the whole."""
        return cls([] if _in_notebook() else sys.argv[1:])

    def show(self, name: str) -> None:
        """Run a section and show it, if it was asked for."""
        if name not in self._chosen:
            return
        if _in_notebook():
            with contextlib.redirect_stderr(io.StringIO()):  # progress bars, of which a notebook would keep every state
                section = SECTIONS[name]()
            _display(section)
        else:
            section = SECTIONS[name]()
            show(section)
        self._shown.append(section)

    def finish(self) -> None:
        """Write the page, if there is a folder for it."""
        if self._output is not None:
            for path in write("tour", TITLE, self._shown, self._output):
                print(f"wrote {path}")


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


def _display(section: Section) -> None:
    from IPython.display import SVG, Markdown, display

    display(Markdown(f"## {section.title}"))
    for block in section.blocks:
        display(SVG(svg(block.draw())) if isinstance(block, Picture) else Markdown(block.markdown()))
