"""Whole runs of `scripts/train.py`, started as a person starts them."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddpg.base.errors import InputError
from ddpg.base.memory import mebibytes

TRAIN = Path(__file__).parents[2] / "scripts" / "train.py"


class Process:
    """A process under way, whose output goes to files in a folder.

    Args:
        folder: an empty one; the process works there.
        arguments: of Python.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._errors = folder / "stderr"
        self._output = folder / "stdout"
        self.started = time.time()
        with self._errors.open("w") as errors, self._output.open("w") as output:
            self._process = subprocess.Popen([sys.executable, *arguments], cwd=folder, stdout=output, stderr=errors)

    def finish(self) -> float:
        """Wait for its end; its peak memory in MiB.

        Raises:
            InputError: with what it complained of, if it failed.
        """
        try:
            _, status, usage = os.wait4(self._process.pid, 0)
        except BaseException:
            self._process.kill()
            raise
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            lines = self._errors.read_text().strip().splitlines() or ["it said nothing"]
            raise InputError(f"a process of the benchmark has failed: {lines[-1]}")
        return mebibytes(usage)

    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text()


def training(folder: Path, *overrides: str) -> Process:
    """A run of `scripts/train.py` that leaves everything in `folder/run`."""
    return Process(folder, str(TRAIN), "hydra.run.dir=run", *overrides)


@contextmanager
def folders(count: int) -> Iterator[list[Path]]:
    """So many empty folders, for a while."""
    with tempfile.TemporaryDirectory() as path:
        made = [Path(path) / str(index) for index in range(count)]
        for each in made:
            each.mkdir()
        yield made
