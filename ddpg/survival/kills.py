"""Runs that are killed at random moments, and resumed until they are done: are they the same runs?"""

import json
import random
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from ddpg.saving import checkpoint, files
from ddpg.survival.runs import finish, outcome, start
from ddpg.training.run import RESULT_NAME

_INTERVAL = 100  # steps between checkpoints
_COMMON = (
    "agent.hidden_sizes=[32,32]",
    "batch_size=32",
    "learning_starts=200",
    "log_interval=50",
    "evaluation.interval=500",
    "evaluation.episodes=1",
    "buffer_size=1500",  # overwritten before the end
    f"checkpoint.interval={_INTERVAL}",
    "threads=1",
)
SUBJECTS: dict[str, tuple[str, ...]] = {
    "Pendulum": ("total_steps=4000", "exploration=ornstein_uhlenbeck"),
    "HalfCheetah-v5": ("env=half_cheetah", "total_steps=2500"),
    "8 Pendulums": ("env.num_envs=8", "total_steps=4000"),
    "8 Pendulums, a process each": ("env.num_envs=8", "env.asynchronous=true", "total_steps=4000"),
    "Ant-v5": ("env=ant", "total_steps=2500"),
    "LunarLanderContinuous-v3": ("env=lunar_lander", "total_steps=2500"),
}


class Ordeal(NamedTuple):
    """What one run went through."""

    subject: str
    kills: int
    """before it was done"""
    while_saving: int
    """of them, with a file half written"""
    checkpoints: list[int]
    """the environment step of the newest one at each kill; 0 is none"""
    differing: list[str]
    """in what it then differs from the unbroken one; nothing, if it survives"""


def ordeals(folder: Path, kills: int, seed: int, subjects: dict[str, tuple[str, ...]] = SUBJECTS) -> Iterator[Ordeal]:
    """Each subject, killed so many times."""
    generator = random.Random(seed)
    bar: tqdm[Any]
    with tqdm(total=kills * len(subjects), desc="kills", unit="") as bar:
        for number, (subject, overrides) in enumerate(subjects.items()):
            yield _ordeal(subject, (*_COMMON, *overrides), folder / str(number), kills, generator, bar)


def _ordeal(
    subject: str, overrides: tuple[str, ...], folder: Path, kills: int, generator: random.Random, bar: "tqdm[Any]"
) -> Ordeal:
    arguments = (*overrides, "hydra.run.dir=run")
    finish(arguments, folder / "whole")
    steps = json.loads((folder / "whole" / "run" / RESULT_NAME).read_text())["environment_steps"]
    pace = max(1, round(1.5 * steps / _INTERVAL / kills))
    broken = folder / "broken"
    done, while_saving, found = 0, 0, []
    while done < kills:
        newest = max(checkpoint.steps(broken / "run"), default=0)
        process = start(["resume=run"] if newest else arguments, broken)
        if newest == steps or generator.random() < 0.2:
            time.sleep(generator.uniform(0, 3))  # before the first step, or in the final evaluation
        else:
            _wait(process, broken / "run", min(steps, newest + _INTERVAL * generator.randint(1, pace)))
            if generator.random() < 0.5:
                _wait_for_save(broken / "run", seconds=2)
            else:
                time.sleep(generator.uniform(0, 0.3))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        while_saving += _half_written(broken / "run")
        found.append(max(checkpoint.steps(broken / "run"), default=0))
        done += 1
        bar.update()
    bar.update(kills - done)
    if done == kills:
        finish(["resume=run"] if checkpoint.steps(broken / "run") else arguments, broken)
    one, other = outcome(folder / "whole" / "run"), outcome(broken / "run")
    return Ordeal(subject, done, while_saving, found, [key for key in one if one[key] != other[key]])


def _wait(process: BaseProcess, run: Path, step: int) -> None:
    """Until the run has a checkpoint of that step or a later one."""
    while process.is_alive() and max(checkpoint.steps(run), default=0) < step:
        time.sleep(0.005)


def _wait_for_save(run: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not _half_written(run) and time.monotonic() < end:
        pass


def _half_written(run: Path) -> bool:
    return any((run / checkpoint.FOLDER).rglob(f"*{files.UNFINISHED}"))
