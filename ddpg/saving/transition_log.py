"""The replay buffer on disk: each checkpoint adds the transitions since the last, and nothing is written twice.

Transitions are numbered as they are added. A part holds the rows of some consecutive ones in one file, named after
the first and the one after the last: `checkpoints/transitions/2500-5000.safetensors`. A checkpoint lists the parts
that make up its replay buffer, each with its checksum.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load, save
from torch import Tensor

from ddpg.base.errors import InputError, require
from ddpg.replay_buffer import ReplayBuffer
from ddpg.saving import checkpoint, files

FOLDER = "transitions"
_LARGEST = 2**16  # rows of a part, so that the memory to write or read one is small


class Part(NamedTuple):
    """Transitions `first` to `last` − 1, and the SHA-256 of their file."""

    first: int
    last: int
    sha256: str

    @property
    def name(self) -> str:
        """File name; `ValueError` unless the numbers are whole."""
        return f"{self.first:d}-{self.last:d}.safetensors"


class TransitionLog:
    """The parts that hold a replay buffer's transitions.

    Args:
        folder: the run's folder.
        parts: `[first, last, sha256]` of each part that a checkpoint lists; none for a new run.
    """

    def __init__(self, folder: Path, parts: Iterable[Iterable[Any]] = ()) -> None:
        self._folder = folder / checkpoint.FOLDER / FOLDER
        self.parts = [Part(*part) for part in parts]

    def write(self, buffer: ReplayBuffer) -> None:
        """Add what the buffer got since the last time.

        Raises:
            OSError: if that cannot be written; what has been written stays.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        oldest = buffer.added - len(buffer)
        self.parts = [part for part in self.parts if part.last > oldest]
        if not all((self._folder / part.name).exists() for part in self.parts):
            self.parts = []  # somebody has deleted some; the buffer still holds them
        first = self.parts[-1].last if self.parts else oldest
        while first < buffer.added:
            last = min(first + _LARGEST, buffer.added)
            data = save({"rows": buffer.rows(first, last).cpu()})
            part = Part(first, last, hashlib.sha256(data).hexdigest())
            files.write(self._folder / part.name, data)
            self.parts.append(part)
            first = last

    def read(self, oldest: int = 0) -> Iterator[Tensor]:
        """Yield the rows `(n, width)` of each part, in order, from that of transition number `oldest` on.

        Raises:
            InputError: if a part is missing, or not the one that the checkpoint was written with.
        """
        for part in self.parts:
            path = self._folder / part.name
            try:
                data = path.read_bytes()
            except OSError as error:
                raise InputError(f"{path}: the transitions of the checkpoint cannot be read ({error}).") from error
            require(
                hashlib.sha256(data).hexdigest() == part.sha256,
                f"{path}: not the transitions that the checkpoint was written with; the file was damaged or taken from "
                "another run.",
            )
            yield load(data)["rows"][max(0, oldest - part.first) :]

    def delete_before(self, first: int) -> None:
        """Delete the parts whose transitions all come before this one, and what a broken-off process left."""
        for path in self._folder.iterdir():
            last = path.stem.partition("-")[2]
            if path.name.endswith(files.UNFINISHED) or (last.isdecimal() and int(last) <= first):
                path.unlink(missing_ok=True)
