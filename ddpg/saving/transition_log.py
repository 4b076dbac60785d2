"""The replay buffer on disk: each checkpoint adds the transitions since the last, and nothing is written twice.

Transitions are numbered as they are added. A part holds the rows of some consecutive ones in one file, named after
the first and the one after the last: `checkpoints/transitions/2500-5000.safetensors`. A checkpoint lists the parts
that make up its replay buffer, each with its checksum.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import safetensors
from safetensors.torch import save as serialized
from torch import Tensor

from ddpg.replay_buffer import ReplayBuffer
from ddpg.saving import checkpoint, files
from ddpg.saving.checkpoint import DamagedError

FOLDER = "transitions"
_LARGEST = 2**16  # rows of a part, so that the memory to write or read one is small


class Part(NamedTuple):
    """Transitions `first` to `last` − 1, and the SHA-256 of their file."""

    first: int
    last: int
    sha256: str

    @property
    def name(self) -> str:
        """Of the file."""
        return f"{self.first}-{self.last}.safetensors"

    @classmethod
    def parse(cls, data: object) -> Self:
        """From plain data. Raises `DamagedError` if it is something else."""
        match data:
            case [int(first), int(last), str(sha256)] if 0 <= first < last <= first + _LARGEST:
                return cls(first, last, sha256)
        raise DamagedError(f"{str(data)[:100]}: not a part of a replay buffer; the checkpoint is damaged.")


class TransitionLog:
    """The parts that hold a replay buffer's transitions.

    Args:
        folder: of the run.
        parts: those that a checkpoint lists; none for a new run.
    """

    def __init__(self, folder: Path, parts: list[Part] | None = None) -> None:
        self._folder = folder / checkpoint.FOLDER / FOLDER
        self.parts = parts or []

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
            data = serialized({"rows": buffer.rows(first, last).cpu()})
            part = Part(first, last, hashlib.sha256(data).hexdigest())
            files.write(self._folder / part.name, data)
            self.parts.append(part)
            first = last

    def read(self, oldest: int = 0) -> Iterator[Tensor]:
        """The rows `(n, width)` of each part, in order, from that of transition number `oldest` on.

        Raises:
            DamagedError: if a part is missing, or not the one that the checkpoint was written with.
        """
        for part in self.parts:
            path = self._folder / part.name
            try:
                with open(path, "rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != part.sha256:
                    raise DamagedError(
                        f"{path}: not the transitions that the checkpoint was written with; the file was damaged or "
                        "taken from another run."
                    )
                with safetensors.safe_open(path, "pt") as file:
                    shape = tuple(file.get_slice("rows").get_shape())
                    if len(shape) != 2 or shape[0] != part.last - part.first:
                        raise DamagedError(f"{path}: transitions of shape {shape} do not fit the checkpoint's.")
                    yield file.get_tensor("rows")[max(0, oldest - part.first) :]
            except (OSError, safetensors.SafetensorError) as error:
                raise DamagedError(f"{path}: the transitions of the checkpoint cannot be read ({error}).") from error

    def delete_before(self, first: int) -> None:
        """Delete the parts whose transitions all come before this one, and what a broken-off process left."""
        for path in self._folder.iterdir():
            last = path.stem.partition("-")[2]
            if path.name.endswith(files.UNFINISHED) or (last.isdecimal() and int(last) <= first):
                path.unlink(missing_ok=True)
