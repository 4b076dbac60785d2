"""Progress bars that fit the terminal or the notebook, and a spinner; in a log a line now and then, or none."""

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

Thing = TypeVar("Thing")

_INTERVAL = 30  # seconds between two lines where there is no terminal


def line(width: int | None, parts: Sequence[str], **state: Any) -> str:
    """Format a state of a bar: title, ten cells or more, and from the first as many parts as there is room for.

    Args:
        width: width of the terminal, in cells; without one the line has all parts and no bar.
        parts: formats, as of `tqdm`'s `bar_format`.
        state: arguments of `tqdm.format_meter`.
    """
    if not width:
        return tqdm.format_meter(**state, ncols=None, bar_format=f"{{desc}} {', '.join(parts)}")
    title = state["prefix"]
    state["prefix"] = title if len(title) <= width // 3 else title[: width // 3 - 1] + "…"
    for count in range(len(parts), -1, -1):
        bar_format = f"{{desc}} {{bar}} {', '.join(parts[:count])}".rstrip()
        if len(tqdm.format_meter(**state, ncols=None, bar_format=bar_format)) <= width:  # with ten cells
            break
    return tqdm.format_meter(**state, ncols=width, bar_format=bar_format)


class Bar(tqdm):  # type: ignore[type-arg] # it takes none when the program runs
    """A progress bar of which no number is cut. In a log, a line every 30 s, the first and the last.

    The environment variable TQDM_DISABLE takes it away.

    Args:
        title: first word of the line.
        parts: formats of what follows the bar, by names; the least important last. Empty ones are left out.
        options: further arguments of `tqdm`. With `leave=False` there are no lines in a log.
    """

    def __init__(self, title: str, parts: dict[str, str], **options: Any) -> None:
        self.parts = parts
        terminal = sys.stderr.isatty()
        notebook = type(sys.stderr).__module__ == "ipykernel.iostream"  # redraws a line too, but has no width
        if not (terminal or notebook or options.get("leave", True)):
            options["disable"] = True
        if notebook:
            options["ncols"] = 100
        elif not terminal:
            options |= {"file": _Lines(sys.stderr), "mininterval": _INTERVAL}
        super().__init__(desc=title, dynamic_ncols=terminal, miniters=0, **options)

    def __str__(self) -> str:
        state = self.format_dict
        del state["bar_format"]
        return line(state.pop("ncols"), list(filter(None, self.parts.values())), **state)


class _Lines:
    """Writes each state of a bar to a file as a line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        if text.strip():
            self._file.write(f"{text.strip()}\n")
            self._file.flush()


def fleeting(things: Iterable[Thing], doing: str, unit: str = "") -> Iterable[Thing]:
    """Iterate over the things, on a terminal with a bar that is cleared away after the last."""
    parts = {"count": f"{{n_fmt}}/{{total_fmt}}{unit}", "left": "{remaining} left"}
    return Bar(doing, parts, iterable=things, leave=False)


@contextmanager
def under_way(doing: str) -> Iterator[None]:
    """Spinner for long operations, with the time that they have taken; only on a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    with tqdm(bar_format="{elapsed} {desc}", desc=doing, leave=False, dynamic_ncols=True) as bar:

        def tick() -> None:
            while not done.wait(0.5):
                bar.refresh()

        clock = threading.Thread(target=tick, daemon=True)
        clock.start()
        try:
            yield
        finally:
            done.set()
            clock.join()
