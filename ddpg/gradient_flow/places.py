"""Where in the user's code something was called."""

import os
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import FrameType

import torch

from ddpg.gradient_flow import private

_OUTSIDE = (os.path.dirname(torch.__file__) + os.sep, os.path.dirname(__file__) + os.sep)
_LIBRARIES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code, and the function that it belongs to."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        if cell := _cell(self.file):
            return f"{cell}:{self.line}"
        roots = (root.rstrip(os.sep) + os.sep for root in (os.getcwd(), *sys.path) if root)
        inside = max((root for root in roots if self.file.startswith(root)), key=len, default="")
        return f"{self.file.removeprefix(inside)}:{self.line}"

    @property
    def own(self) -> bool:
        """Whether it is the user's own code rather than a library's."""
        return own_code(self.file)


NOWHERE = Place("<unknown>", 0, "<unknown>")


@cache
def own_code(file: str) -> bool:
    """Whether a file is the user's own rather than a library's."""
    return not file.startswith((*_LIBRARIES, "<frozen ")) and not any(each in file for each in _INSTALLED)


def _cell(file: str) -> str:
    """Return the name of a notebook's cell, "Cell In[3]", as IPython's own tracebacks have it; empty for a file."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    name_of = getattr(getattr(shell, "compile", None), "format_code_name", None)  # IPython 7 has none
    return " ".join(name_of(file) or ()) if name_of is not None else ""


@cache
def _outside(file: str) -> bool:
    return file.startswith(_OUTSIDE)


@cache
def _place(file: str, line: int, function: str) -> Place:
    return Place(file if file.startswith("<") else os.path.abspath(file), line, function)


def user_frames() -> Iterator[FrameType]:
    """Yield the frames of the call stack that are neither PyTorch's, nor the audit's, nor a mode's, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not _outside(code.co_filename) and code.co_name not in ("__torch_function__", "__torch_dispatch__"):
            yield frame
        frame = frame.f_back


def place_of(frame: FrameType) -> Place:
    """Return the line that a frame executes."""
    return _place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def call_stack() -> tuple[Place, ...]:
    """Return the user's calls that lead here, innermost first."""
    return tuple(map(place_of, user_frames())) or (NOWHERE,)


def called_by_pytorch() -> bool:
    """Whether the innermost frame that is not the audit's is PyTorch's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _in_between(frame):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_OUTSIDE[0])


def _in_between(frame: FrameType) -> bool:
    """Whether a frame is the audit's, or one of those that PyTorch puts around what must not be compiled."""
    torchs, ours = (frame.f_code.co_filename.startswith(each) for each in _OUTSIDE)
    return ours or (torchs and frame.f_code.co_name in private.AROUND_UNCOMPILED)


def innermost(stack: Sequence[Place]) -> Place:
    """Return the innermost line of the user's own; of a library if there is no other."""
    return next((place for place in stack if place.own), stack[0])


class Lines:
    """Knows which lines of libraries have been reached through which lines of the user's."""

    def __init__(self) -> None:
        self._events: dict[Place, set[Place]] = defaultdict(set)
        self._calls: dict[Place, set[Place]] = defaultdict(set)

    def meet(self, stack: Sequence[Place]) -> None:
        """Note where a pass or a step happened."""
        own = innermost(stack)
        if own is not stack[0] and own.own:
            self._events[own].add(stack[0])

    def vague(self, place: Place) -> bool:
        """Whether a library runs several passes and steps for this line of the user's: a whole training."""
        return len(self._events[place]) > 1

    def vague_call(self, place: Place) -> bool:
        """Whether a library calls modules in several lines for this one of the user's."""
        return len(self._calls[place]) > 1

    def site(self, modules: Collection[int] = ()) -> "Site":
        """Return the innermost line that is not in a method of one of the `modules`, given by id."""
        inner = None
        for frame in user_frames():
            varnames = frame.f_code.co_varnames
            if not (modules and varnames[:1] == ("self",) and id(frame.f_locals.get("self")) in modules):
                place = place_of(frame)
                inner = inner or place
                if place.own:
                    if place is not inner:
                        self._calls[place].add(inner)
                    return Site(place, inner, self)
        return Site(inner or NOWHERE, inner or NOWHERE, self)

    def name(self, own: Iterable[Sequence[Place]], others: Iterable[Sequence[Place]]) -> Place:
        """Return the line that names what has the call stacks `own`: the innermost that is in none of the others'.

        Lines of the user's go before those of libraries, and lines that all of its own stacks share before the rest.
        """
        stacks = list(own)
        taken = {place for stack in others for place in stack}
        shared = set(stacks[0]).intersection(*stacks[1:])
        unique = [place for place in stacks[0] if place not in taken]
        plain = [place for place in unique if place.own and not self.vague(place)]
        candidates = [
            *(place for place in plain if place in shared),
            *plain,
            *(place for place in unique if place in shared),
            *unique,
            *(place for place in stacks[0] if place.own and not self.vague(place)),
        ]
        return candidates[0] if candidates else stacks[0][0]


@dataclass(frozen=True, slots=True)
class Site:
    """A line of the user's own, and the line of a library that it led to; which of them to name shows later."""

    own: Place
    inner: Place
    lines: Lines = field(compare=False, repr=False)

    @property
    def place(self) -> Place:
        """The user's own line; the library's where that stands for too much."""
        return self.inner if self.lines.vague_call(self.own) else self.own

    def __str__(self) -> str:
        return str(self.place)


class Sited:
    """Base of what has a site."""

    site: Site

    @property
    def place(self) -> Place:
        """The user's line."""
        return self.site.place
