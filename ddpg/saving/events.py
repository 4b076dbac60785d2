"""TensorBoard's event file of a run, one file however often the run is broken off."""

import hashlib
import io
import os
import time
import warnings
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from ddpg.base.errors import Note

NAME = "events.out.tfevents.run"
_INTERVAL = 5  # seconds after which what is new goes to the file


class EventFile:
    """Events, which wait in memory until the file takes them.

    `torch.utils.tensorboard.SummaryWriter` begins a new file in every process, in which the points after the last
    checkpoint would stand again.

    Args:
        folder: of the run.
        size: bytes of the file that hold, from the checkpoint; what follows them is of a process that broke off.
        sha256: of these bytes. If they are not those, the file is moved aside, and a warning says so.
    """

    def __init__(self, folder: Path, size: int = 0, sha256: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NAME
        self.size = size
        """of the file, in bytes, after `flush`"""
        self._digest = hashlib.sha256()
        if size > 0:
            self._take_up(sha256)
        self._waiting = io.BytesIO()
        self._flushed = time.monotonic()
        if self.size == 0:
            self._begin_anew()

    def _take_up(self, sha256: str) -> None:
        there = self._path.exists()
        if there:
            with open(self._path, "rb") as file:
                left = self.size
                while chunk := file.read(min(left, 2**20)):
                    self._digest.update(chunk)
                    left -= len(chunk)
        if self.sha256 != sha256:
            aside = self._path.with_name("damaged_events")
            if there:
                os.replace(self._path, aside)
            warnings.warn(
                f"{self._path}: {f'not as it was at the checkpoint, moved to {aside.name}' if there else 'missing'}; "
                "the curves begin anew.",
                Note,
                stacklevel=2,
            )
            self.size = 0

    def _begin_anew(self) -> None:
        """A file of nothing but what waits."""
        waits, self._waiting = self._waiting.getvalue(), io.BytesIO()
        self.size, self._digest = 0, hashlib.sha256()
        self._record(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._waiting.write(waits)

    def _record(self, event: Event) -> None:
        RecordWriter(self._waiting).write(event.SerializeToString())

    @property
    def sha256(self) -> str:
        """Of the file after `flush`."""
        return self._digest.hexdigest()

    def add(self, summary: Any, step: int = 0) -> None:
        """A summary of an environment step.

        Raises:
            OSError: if the file takes nothing; what is to be written waits on.
        """
        self._record(Event(wall_time=time.time(), step=step, summary=summary))
        if time.monotonic() - self._flushed > _INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Write what waits, and bring it to the disk. Raises `OSError` if the file does not take it; it waits on."""
        self._flushed = time.monotonic()
        if self.size and (not self._path.exists() or self._path.stat().st_size < self.size):
            self._begin_anew()  # somebody has deleted it
        with open(self._path, "ab") as file:
            file.truncate(self.size)
            file.write(self._waiting.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        self.size += self._waiting.tell()
        self._digest.update(self._waiting.getbuffer())
        self._waiting.seek(0)
        self._waiting.truncate()
