"""Checkpoints whose writing fails at every single step once, and files that are damaged at sampled places.

After each the run is taken up as a person would, and compared with what it was.
"""

import builtins
import errno
import os
import shutil
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ddpg.base.errors import InputError, Note
from ddpg.base.progress import fleeting
from ddpg.benchmark.subjects import run_settings
from ddpg.saving import agent_state, checkpoint
from ddpg.survival.runs import digest
from ddpg.training.loop import Training
from ddpg.training.resume import contents
from ddpg.training.run import Run

_SETTINGS = run_settings(
    "agent.hidden_sizes=[4]",
    "batch_size=8",
    "learning_starts=20",
    "buffer_size=100",
    "log_interval=10",
    "evaluation.interval=1000000",
    "checkpoint.interval=1000000",  # they are written by hand here
    "total_steps=1000",
    "env.kwargs={max_episode_steps: 30}",
    "threads=1",
)
_FUNCTIONS = ("replace", "fsync", "unlink", "mkdir", "open")
FAULTS = ("disk full", "no permission", "short write", "killed")
STEPS = (50, 90, 130, 150)
"""the environment steps of the checkpoints; it is in writing the last but one that something fails"""


class Disk:
    """Stands before the functions that write below a folder, and makes the call number `fails` fail."""

    def __init__(self, folder: Path, fault: str = "", fails: int = -1) -> None:
        self.folder = folder
        self.fault = fault
        self.fails = fails
        self.calls = 0

    def _call(self, path: Any, do: Callable[[], Any], shortly: Callable[[], Any] = lambda: None) -> Any:
        if not str(path).startswith(str(self.folder)):
            return do()
        self.calls += 1
        if self.calls - 1 != self.fails:
            return do()
        if self.fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "short write":
            shortly()
        number = errno.EACCES if self.fault == "no permission" else errno.ENOSPC
        raise OSError(number, os.strerror(number), str(path))

    @contextmanager
    def in_between(self) -> Iterator[None]:
        """While this is entered."""
        real_open, real = builtins.open, {name: getattr(os, name) for name in _FUNCTIONS}
        names: dict[int, str] = {}  # of open files

        def opened(path: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
            if mode.strip("b+") == "r":
                return real_open(path, mode, *more, **options)
            file = self._call(path, lambda: real_open(path, mode, *more, **options))
            names[file.fileno()] = str(path)
            return _File(file, lambda do, shortly: self._call(path, do, shortly))

        def opened_folder(path: Any, flags: int) -> int:
            number: int = self._call(path, lambda: real["open"](path, flags))
            names[number] = str(path)
            return number

        def synced(number: int) -> None:
            self._call(names.get(number, ""), lambda: real["fsync"](number))

        builtins.open = opened  # type: ignore[assignment]
        replaced = {name: self._of_path(real[name]) for name in ("replace", "unlink", "mkdir")}
        for name, function in {**replaced, "open": opened_folder, "fsync": synced}.items():
            setattr(os, name, function)
        try:
            yield
        finally:
            builtins.open = real_open
            for name, function in real.items():
                setattr(os, name, function)

    def _of_path(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda path, *more, **options: self._call(path, lambda: function(path, *more, **options))


class _File:
    """An open file whose writing calls are counted."""

    def __init__(self, file: Any, call: Callable[[Callable[[], Any], Callable[[], Any]], Any]) -> None:
        self._file = file
        self._call = call

    def write(self, data: Any) -> Any:
        half = bytes(data)[: len(data) // 2]

        def shortly() -> None:
            self._file.write(half)
            self._file.flush()

        return self._call(lambda: self._file.write(data), shortly)

    def truncate(self, size: int) -> Any:
        return self._call(lambda: self._file.truncate(size), lambda: None)

    def flush(self) -> Any:
        return self._call(self._file.flush, lambda: None)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def training(folder: Path, resumed: bool = False) -> Iterator[Training]:
    """A small training, taken up from its folder if it is resumed."""
    found = contents(folder, _SETTINGS.env.id) if resumed else []
    made = Training(_SETTINGS, folder)
    try:
        if found:
            made.load(found)
        with made.runs[0].open(shown=False):
            yield made
    finally:
        made.close()


def advance(made: Training, step: int) -> None:
    """Up to this environment step."""
    while made.step < step:
        made.advance()


def standing(run: Run) -> str:
    """A digest of all that a run is, to compare it by."""
    collector = run.collector.state_dict()
    return digest(
        [agent_state.state_dict(run.agent), run.buffer.state_dict(), run.buffer.transitions(), collector, run.step]
    )


def expected(folder: Path) -> dict[int, str]:
    """How the run stands at each of the steps."""
    found = {}
    with training(folder) as made:
        for step in STEPS:
            advance(made, step)
            found[step] = standing(made.runs[0])
            made._save()
    return found


def failing_writes(folder: Path, stride: int = 1) -> Counter[str]:
    """Let every call that writes a checkpoint fail once, in each way; what came of it, counted.

    With a `stride` only every so many of these cases.

    Raises:
        AssertionError: if a run does not go on as it should.
    """
    truth = expected(folder / "truth")
    counted = Disk(folder / "counted")
    _run_with(counted, folder / "copy")
    outcomes: Counter[str] = Counter()
    cases = [(fault, number) for fault in FAULTS for number in range(counted.calls)][::stride]
    for fault, number in fleeting(cases, "failing writes"):
        for name in ("failing", "copy"):
            shutil.rmtree(folder / name, ignore_errors=True)
        disk = Disk(folder / "failing", fault, number)
        if fault == "killed":
            child = os.fork()
            if child == 0:
                _run_with(disk, folder / "copy")
                os._exit(0)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, f"{fault} {number}: it was not killed"
            taken = _check(disk.folder, truth, f"{fault} {number}")
        else:
            _run_with(disk, folder / "copy")
            taken = _check(folder / "copy", truth, f"{fault} {number}")
            assert _check(disk.folder, truth, f"{fault} {number}, after the next") == STEPS[-1]
        outcomes[f"{fault}: {'that checkpoint is complete' if taken == STEPS[-2] else 'the one before holds'}"] += 1
    return outcomes


def _run_with(disk: Disk, copy: Path) -> None:
    """A run in the disk's folder, which fails in the last save but one; `copy` is what it leaves then."""
    with training(disk.folder) as made, _quiet():
        for step in STEPS:
            advance(made, step)
            with disk.in_between() if step == STEPS[-2] else nullcontext():
                made._save()
            if step == STEPS[-2]:
                shutil.copytree(disk.folder, copy)


def _check(folder: Path, truth: dict[int, str], case: str) -> int:
    """Take the run up and finish it; the step that it is taken up from."""
    with training(folder, resumed=True) as made:
        taken = made.step
        assert taken in STEPS[-3:], f"{case}: taken up from step {taken}"
        for step in (taken, STEPS[-1]):
            advance(made, step)
            assert standing(made.runs[0]) == truth[step], f"{case}: not the run of step {step}"
    return taken


@contextmanager
def _quiet() -> Iterator[None]:
    """The sentences that a person would see are not what is looked at."""
    standard, sys.stderr = sys.stderr, open(os.devnull, "w")  # noqa: SIM115
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = standard


def damaged_files(folder: Path, places: int, seed: int = 0) -> Counter[str]:
    """Flip a bit, or cut, at sampled places of every file that a run goes on from; what came of it, counted.

    Raises:
        AssertionError: if a run goes on as another than it was.
    """
    truth = expected(folder / "truth")
    checkpoints = (folder / "truth" / checkpoint.FOLDER).rglob("*")
    kept = {str(path.relative_to(folder / "truth")) for path in checkpoints if path.is_file()}
    generator = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    for name in fleeting(sorted(kept), "damaged files"):
        good = (folder / "truth" / name).read_bytes()
        for place in generator.integers(0, len(good), places).tolist() if good else []:
            flipped = bytearray(good)
            flipped[place] ^= 1 << int(generator.integers(8))
            for kind, content in (("flipped", bytes(flipped)), ("cut", good[:place])):
                broken = folder / "broken"
                shutil.rmtree(broken, ignore_errors=True)
                shutil.copytree(folder / "truth", broken)
                (broken / name).write_bytes(content)
                outcomes[f"{_kind(name)}, {kind}: {_taken_up(broken, truth)}"] += 1
    return outcomes


def _kind(name: str) -> str:
    return "transitions" if "transitions" in name else "checkpoint"


def _taken_up(folder: Path, truth: dict[int, str]) -> str:
    """How the run goes on. An exception of any kind but `InputError` is a crash, and gets out."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", Note)
        with suppress(InputError):
            with training(folder, resumed=True) as made:
                assert standing(made.runs[0]) == truth[made.step], "it goes on as another run"
                taken = "from the newest checkpoint" if made.step == STEPS[-1] else "from the one before"
            assert notes or taken == "from the newest checkpoint"
            return f"goes on {taken}, {'and says so' if notes else 'unharmed'}"
    return "refused in a sentence"
