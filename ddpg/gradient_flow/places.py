"""Where in the user's code something was called."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import torch

_OUTSIDE = (os.path.dirname(torch.__file__) + os.sep, os.path.dirname(__file__) + os.sep)


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code, and the function that it belongs to."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        roots = (root.rstrip(os.sep) + os.sep for root in (os.getcwd(), *sys.path) if root)
        inside = max((root for root in roots if self.file.startswith(root)), key=len, default="")
        return f"{self.file.removeprefix(inside)}:{self.line}"


NOWHERE = Place("<unknown>", 0, "<unknown>")


def user_frames() -> Iterator[FrameType]:
    """The frames of the call stack that are neither PyTorch's, nor the audit's, nor a mode's, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        ours = frame.f_code.co_filename.startswith(_OUTSIDE)
        if not ours and frame.f_code.co_name not in ("__torch_function__", "__torch_dispatch__"):
            yield frame
        frame = frame.f_back


def place_of(frame: FrameType) -> Place:
    """The line that a frame executes."""
    file = frame.f_code.co_filename
    return Place(file if file.startswith("<") else os.path.abspath(file), frame.f_lineno, frame.f_code.co_name)


def call_stack() -> tuple[Place, ...]:
    """The user's calls that lead here, innermost first."""
    return tuple(map(place_of, user_frames())) or (NOWHERE,)


def caller(modules: frozenset[int] = frozenset()) -> Place:
    """The innermost line of the user's that is not in a method of one of the `modules`, given by id."""
    for frame in user_frames():
        if not (modules and frame.f_code.co_varnames[:1] == ("self",) and id(frame.f_locals.get("self")) in modules):
            return place_of(frame)
    return NOWHERE
