"""Whatever write fails, and whatever file is damaged, a run goes on as the run that it was, or is refused."""

import builtins
import errno
import os
import shutil
import signal
import warnings
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from small_runs import small
from standing import standing, training

from ddpg import InputError
from ddpg.base.errors import Note

CHECKPOINTS = (50, 90, 130, 150)
SETTINGS = small(
    total_steps=1000,
    learning_starts=20,
    batch_size=8,
    buffer_size=100,
    log_interval=10,
    evaluation={"interval": 10**6, "episodes": 1, "max_episode_steps": 1000},
    checkpoint={"interval": 10**6, "keep": 2},  # they are written by hand here
)


class Disk:
    """Counts the calls that write below a folder, and lets number `fails` of them fail."""

    def __init__(self, folder, fault="", fails=-1):
        self.folder, self.fault, self.fails, self.calls = folder, fault, fails, 0

    def call(self, path, function, *arguments, **options):
        if not str(path).startswith(str(self.folder)):
            return function(*arguments, **options)
        self.calls += 1
        if self.calls - 1 != self.fails:
            return function(*arguments, **options)
        if self.fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "short write" and function.__name__ == "write":
            function(bytes(arguments[0])[: len(arguments[0]) // 2])
        number = errno.EACCES if self.fault == "no permission" else errno.ENOSPC
        raise OSError(number, os.strerror(number), str(path))

    @contextmanager
    def in_between(self):
        """The disk stands before the functions that write."""
        really_open, really_sync = builtins.open, os.fsync

        def opened(path, mode="r", *more, **options):
            if mode.strip("b+") == "r":
                return really_open(path, mode, *more, **options)
            return File(self, self.call(path, really_open, path, mode, *more, **options))

        with pytest.MonkeyPatch.context() as patch:
            for function in (os.replace, os.unlink, os.mkdir):
                patch.setattr(os, function.__name__, self.of_path(function))
            patch.setattr(os, "fsync", lambda number: self.call(place(number), really_sync, number))
            patch.setattr(builtins, "open", opened)
            yield

    def of_path(self, function):
        return lambda path, *more, **options: self.call(path, function, path, *more, **options)


def place(number):
    return os.readlink(f"/proc/self/fd/{number}")


class File:
    """An open file, whose writing calls go through the disk."""

    def __init__(self, disk, file):
        self.disk, self.file = disk, file

    def __getattr__(self, name):
        found = getattr(self.file, name)
        return partial(self.disk.call, self.file.name, found) if name in ("write", "truncate", "flush") else found

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def advance(made, step):
    while made.step < step:
        made.advance()


def train(disk, copy):
    """How a run stands at each checkpoint, on a disk that fails in the last but one; `copy` is what it leaves then."""
    found = {}
    with training(disk.folder, SETTINGS) as made:
        for step in CHECKPOINTS:
            advance(made, step)
            found[step] = standing(made.run)
            with disk.in_between() if step == CHECKPOINTS[-2] else nullcontext():
                made._save()
            if step == CHECKPOINTS[-2]:
                shutil.copytree(disk.folder, copy)
    return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run's disk, and how it stood at each checkpoint."""
    folder = tmp_path_factory.mktemp("unbroken")
    disk = Disk(folder / "run")
    return disk, train(disk, folder / "copy")


def taken_up(folder, truth):
    """Take the run up and finish it; the step that it is taken up from."""
    with training(folder, SETTINGS, resumed=True) as made:
        taken = made.step
        for step in (taken, CHECKPOINTS[-1]):
            advance(made, step)
            assert standing(made.run) == truth[step]
    return taken


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("fault", ["disk full", "no permission", "short write", "killed"])
def test_whatever_write_fails_the_run_goes_on_from_a_whole_checkpoint(tmp_path, unbroken, fault, every):
    disk, truth = unbroken
    steps = set()
    for number in range(0, disk.calls, every):
        disk, copy = Disk(tmp_path / f"{number}", fault, number), tmp_path / f"copy {number}"
        if fault == "killed":
            child = os.fork()
            if child == 0:
                train(disk, copy)
                os._exit(0)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
            steps.add(taken_up(disk.folder, truth))
        else:
            train(disk, copy)
            steps.add(taken_up(copy, truth))
            assert taken_up(disk.folder, truth) == CHECKPOINTS[-1]
    assert CHECKPOINTS[1] in steps
    assert steps <= {*CHECKPOINTS[1:3]}  # that checkpoint, or the one before


@pytest.mark.parametrize("places", [3, pytest.param(60, marks=pytest.mark.long)])
def test_whatever_file_is_damaged_the_run_is_what_it_was_or_is_refused(tmp_path, unbroken, places):
    disk, truth = unbroken
    broken, generator = tmp_path / "broken", np.random.default_rng(0)
    for file in sorted(path for path in disk.folder.rglob("*") if path.is_file()):
        good = file.read_bytes()
        for at in generator.integers(0, len(good), places).tolist():
            flipped = bytearray(good)
            flipped[at] ^= 1 << int(generator.integers(8))
            for content in (bytes(flipped), good[:at]):
                shutil.rmtree(broken, ignore_errors=True)
                shutil.copytree(disk.folder, broken)
                (broken / file.relative_to(disk.folder)).write_bytes(content)
                with warnings.catch_warnings(record=True) as notes, suppress(InputError):  # all else is a crash
                    warnings.simplefilter("always", Note)
                    with training(broken, SETTINGS, resumed=True) as made:
                        assert standing(made.run) == truth[made.step]
                        assert notes or made.step == CHECKPOINTS[-1]
