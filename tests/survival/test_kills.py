"""A run that is killed at random moments, and resumed until it is done, is the run that was left alone."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_runs import scalars
from standing import standing, training

from ddpg.saving import checkpoint, files
from ddpg.training.settings import Settings

TRAIN = Path(__file__).parents[2] / "scripts" / "train.py"
INTERVAL, STEPS, KILLS = 100, 1500, 6
COMMON = (
    "agent.hidden_sizes=[32,32]",
    "batch_size=32",
    "learning_starts=200",
    "log_interval=50",
    "evaluation.interval=500",
    "evaluation.episodes=1",
    "buffer_size=1000",  # overwritten before the end
    f"checkpoint.interval={INTERVAL}",
    f"total_steps={STEPS}",
    "env.kwargs={max_episode_steps: 40}",
    "exploration=ornstein_uhlenbeck",
    "threads=1",
    "hydra.run.dir=run",
)


def start(folder, arguments):
    folder.mkdir(exist_ok=True)
    with open(folder / "train.log", "ab") as log:
        return subprocess.Popen([sys.executable, TRAIN, *arguments], cwd=folder, stdout=log, stderr=log)


def finish(folder, arguments):
    assert start(folder, arguments).wait() == 0, (folder / "train.log").read_text()


def half_written(run):
    return any((run / checkpoint.FOLDER).rglob(f"*{files.UNFINISHED}"))


def wait(process, condition, seconds=300.0):
    end = time.monotonic() + seconds
    while process.poll() is None and not condition() and time.monotonic() < end:
        time.sleep(0.001)


def outcome(run):
    """Everything that a finished run came to, but for times."""
    result = json.loads((run / "result.json").read_text())
    with training(run, Settings.check(result["settings"]), resumed=True) as made:
        stands = standing(made.run)
    return [stands, result["weights_digest"], result["returns"], result["lengths"], result["q_bias"], scalars(run)]


@pytest.mark.long
@pytest.mark.parametrize(
    "subject",
    [
        ("env=pendulum",),
        ("env=pendulum", "env.num_envs=2", "env.asynchronous=true"),
        ("env=half_cheetah", "env.num_envs=2"),
    ],
    ids=" ".join,
)
def test_a_run_that_is_killed_at_random_moments_is_the_same_run(tmp_path, subject):
    arguments, chance = [*COMMON, *subject], random.Random(1)
    finish(tmp_path / "whole", arguments)
    broken = tmp_path / "broken"

    def newest():
        return max(checkpoint.steps(broken / "run"), default=0)

    kills = 0
    while kills < KILLS and newest() < STEPS:
        process = start(broken, ["resume=run"] if newest() else arguments)
        aim = newest() + INTERVAL * chance.randint(1, 4)
        wait(process, lambda aim=aim: newest() >= aim)
        if chance.random() < 0.5:
            wait(process, lambda: half_written(broken / "run"), seconds=2)
        else:
            time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.wait()
        kills += 1
    assert kills > 2
    if not (broken / "run" / "result.json").exists():
        finish(broken, ["resume=run"])
    assert outcome(broken / "run") == outcome(tmp_path / "whole" / "run")
