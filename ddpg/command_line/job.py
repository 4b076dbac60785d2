"""One run of a sweep, in a process of its own: whatever ends it leaves the sweep and the other runs alone.

The process is the sweep's program started again, so that it has the environments that the program registers; an
environment variable tells it which run to train.
"""

import json
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import psutil

from ddpg.training.resume import finished
from ddpg.training.run import RESULT_NAME
from ddpg.training.settings import Settings

LOG_NAME = "train.log"
FAILURE_NAME = "failure.txt"
TIME_TO_SAVE = 20
"""seconds that a run has to finish its step and write a checkpoint when its sweep ends"""
VARIABLE = "DDPG_JOB"
_STARTS = " starts the run\n"
_PLAIN = ["-P", "-m", "ddpg.command_line"]


def program() -> list[str]:
    """Return Python's arguments that start this program again; those of `ddpg-train` if it was not started by them."""
    arguments = sys.orig_argv[1:]
    again = arguments[-len(sys.argv[1:]) :] == sys.argv[1:]  # not so in a notebook, or in pytest
    return arguments if again else _PLAIN


def train_apart(folder: Path, settings: Settings, program: Sequence[str], directory: str) -> float:
    """Train, unless that is done already, and return the mean return of the final evaluation, NaN if there is none.

    What the run prints goes to `train.log` in its folder; why it failed, to `failure.txt`.

    Args:
        folder: where the run goes.
        settings: what to train.
        program: what `program` returned in the sweep's process.
        directory: working directory of the sweep.
    """
    if not finished(folder, settings):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILURE_NAME).unlink(missing_ok=True)
        status = _train(folder, settings, program, directory)
        if not finished(folder, settings):
            (folder / FAILURE_NAME).write_text(_reason(status, folder / LOG_NAME) + "\n", encoding="utf-8")
            return float("nan")
    return float(json.loads((folder / RESULT_NAME).read_text())["mean_return"])


def _train(folder: Path, settings: Settings, program: Sequence[str], directory: str) -> int:
    """Train in a process of its own; return its exit status."""
    launcher, sweep = os.getpid(), multiprocessing.parent_process()  # which a process of joblib's has
    told = {
        "folder": str(folder),
        "settings": settings.model_dump(),
        "parents": [launcher, *([sweep.pid] if sweep is not None else [])],
    }
    there = Path(directory).is_dir()  # a node of a cluster may lack it
    more = {VARIABLE: json.dumps(told), "TQDM_DISABLE": "1", "PYTHONUTF8": "1"}
    with (folder / LOG_NAME).open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} on {platform.node()}, process {launcher}{_STARTS}")
        log.flush()
        with subprocess.Popen(
            [sys.executable, *(program if there else _PLAIN)],
            cwd=directory if there else None,
            env=os.environ | more,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process:
            return process.wait()


def _reason(status: int, log: Path) -> str:
    """Why a process ended with this status, without a result."""
    if status < 0:
        return f"killed by signal {-status} ({signal.strsignal(-status)})"
    said = log.read_text(encoding="utf-8", errors="replace").rpartition(_STARTS)[2].strip().splitlines()
    return said[-1] if said else f"exit status {status}"


def receive() -> tuple[Path, Settings]:
    """Return folder and settings of the run that this process is to train.

    From now on the process saves and exits when the one that started it, or the sweep's, is gone.
    """
    told = json.loads(os.environ.pop(VARIABLE))

    def end_with_parents() -> None:
        while all(map(psutil.pid_exists, told["parents"])):
            time.sleep(0.5)
        signal.raise_signal(signal.SIGTERM)
        time.sleep(TIME_TO_SAVE)
        os._exit(1)

    threading.Thread(target=end_with_parents, daemon=True).start()
    return Path(told["folder"]), Settings.check(told["settings"])
