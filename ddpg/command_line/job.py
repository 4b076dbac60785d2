"""One run of a sweep, in a process of its own: whatever ends it leaves the launcher and the other runs alone."""

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ddpg.base.errors import require
from ddpg.environments import own_code
from ddpg.environments.own_code import OwnCode
from ddpg.training.loop import folders
from ddpg.training.resume import finished
from ddpg.training.run import RESULT_NAME
from ddpg.training.settings import Settings

LOG_NAME = "train.log"
FAILURE_NAME = "failure.txt"
PROGRESS_NAME = "progress.txt"
TIME_TO_SAVE = 20
"""seconds that a run has to finish its step and write a checkpoint when its sweep ends"""
SWEEP_PID = "DDPG_SWEEP_PID"
"""environment variable: the process of the sweep, where its runs are to end with it"""


def train_apart(folder: Path, settings: Settings, directory: str, own: OwnCode) -> float:
    """Train, unless that is done already; the mean return of the final evaluation, or NaN if there is none.

    What the run prints goes to `train.log` in its folder; why it failed, to `failure.txt`.

    Args:
        folder: of the run.
        settings: of the run.
        directory: that the sweep was started in.
        own: what the sweep's process had of the user's own.
    """
    _go_with_the_sweep()  # whose jobs still wait in a queue when it is killed
    if not finished(folder, settings):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILURE_NAME).unlink(missing_ok=True)
        begun = (folder / LOG_NAME).stat().st_size if (folder / LOG_NAME).exists() else 0
        if failure := _failure(_train(folder, settings, directory, own), folder / LOG_NAME, begun):
            (folder / FAILURE_NAME).write_text(failure + "\n", encoding="utf-8")
            return float("nan")
    results = [json.loads((path / RESULT_NAME).read_text()) for path in folders(folder, settings).values()]
    return float(np.mean([result["mean_return"] for result in results]))


def rehearse(settings: Settings, own: OwnCode) -> None:
    """Raise `InputError` if a process of its own could not find the environment, unless it is a module's."""
    if ":" not in settings.env.id and settings.env.id in own.environments:
        program = "from ddpg.environments.own_code import rehearse; rehearse()"
        told = json.dumps(own.path) + "\n" + json.dumps([own.environments, settings.env.id, settings.env.kwargs])
        done = subprocess.run(_python(program), input=told, capture_output=True, text=True, check=False)
        require(done.returncode == 0, (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1])


def _python(program: str) -> list[str]:
    """A process without the working directory among its modules that first reads where to search them."""
    return [sys.executable, "-P", "-c", own_code.START + program]


def _train(folder: Path, settings: Settings, directory: str, own: OwnCode) -> int:
    """The exit status of the process that trains."""
    with (folder / LOG_NAME).open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} on {platform.node()}, process {os.getpid()} starts the run\n")
        log.flush()
        process = subprocess.Popen(
            _python("from ddpg.command_line.main import train_job; train_job()"),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | {"TQDM_DISABLE": "1", "PYTHONUTF8": "1"},
            # Ctrl-C reaches the sweep, which ends its jobs.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            text=True,
        )
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError):  # it has ended already; the log says why
            told = [str(folder), settings.model_dump(), directory, own.environments]
            process.stdin.write(json.dumps(own.path) + "\n" + json.dumps(told) + "\n")
            process.stdin.flush()
        while True:
            try:
                return process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                _go_with_the_sweep()
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()  # if it still runs, it saves what it has, and ends
        with suppress(subprocess.TimeoutExpired):
            process.wait(TIME_TO_SAVE)
        process.kill()


def _go_with_the_sweep() -> None:
    """End this process, and its run with it, if it is one of a sweep's on this machine that has been killed."""
    sweep = os.environ.get(SWEEP_PID)
    if sweep is not None and not psutil.pid_exists(int(sweep)):
        os._exit(1)


def _failure(status: int, log: Path, begun: int) -> str:
    """Why a process ended with this status, with a log from this byte on; nothing if it did well."""
    if status == 0:
        return ""
    if status < 0:
        return f"killed by signal {-status} ({signal.strsignal(-status)})"
    _, *said = log.read_bytes()[begun:].decode(errors="replace").strip().splitlines()
    seeds = [line for line in said if line.startswith("Seed ") and "mean return" not in line]
    return "; ".join(seeds or said[-1:]) or f"exit status {status}"


def receive() -> tuple[Path, dict[str, Any], str, dict[str, str]]:
    """What `train_apart` tells the process: folder, settings, the sweep's directory and environments of the user's own.

    From now on the process saves and ends when its parent does.
    """
    folder, *told = json.loads(sys.stdin.readline())

    def end_with_parent() -> None:
        sys.stdin.read()  # until nobody holds the other end
        signal.raise_signal(signal.SIGTERM)
        time.sleep(TIME_TO_SAVE)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    return Path(folder), *told


@contextmanager
def progress(folder: Path, step: Callable[[], int]) -> Iterator[None]:
    """Meanwhile write down the run's environment step, for the sweep to read."""
    done = threading.Event()

    def report() -> None:
        while not done.wait(1):
            (folder / PROGRESS_NAME).write_text(str(step()))

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()
        (folder / PROGRESS_NAME).unlink(missing_ok=True)
