"""Several seeds: one process after the other, all processes in parallel, and all at once in one process."""

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

from ddpg.base.errors import InputError
from ddpg.base.progress import fleeting
from table import Table, speeds
from training import overrides
from turns import Turn, take_turns

TRAIN = Path(__file__).parents[1] / "train.py"
STEPS = 3000  # of each seed

Group = Sequence[Sequence[str]]
"""Runs in parallel: the overrides of each."""


def measure(env: str, hidden: int, batch: int, seeds: int, rounds: int) -> Table:
    """Compare steps a second and peak memory of the ways to train several seeds."""
    ways: dict[str, list[Group]] = {
        "in turn": [[[f"seed={seed}"]] for seed in range(seeds)],
        "in parallel": [[[f"seed={seed}", "threads=1"] for seed in range(seeds)]],
        "at once": [[[f"seeds={seeds}"]]],
    }
    eager, compiled = (overrides(env, hidden, batch, compiled) for compiled in (False, True))
    memory: dict[str, float] = {}

    def turn(name: str, groups: list[Group], settings: list[str]) -> Turn:
        def run() -> float:
            outcomes = [train(group, [*settings, f"total_steps={STEPS}"]) for group in groups]
            memory[name] = max(memory.get(name, 0), *(peak for _, peak in outcomes))
            return sum(seconds for seconds, _ in outcomes) / (STEPS * seeds)

        return run

    for groups in fleeting(ways.values(), "compiling"):
        train([groups[0][0]], [*compiled, "total_steps=300"])
    turns = {f"{way}, eager": turn(f"{way}, eager", groups, eager) for way, groups in ways.items()}
    turns |= {f"{way}, compiled": turn(f"{way}, compiled", groups, compiled) for way, groups in ways.items()}
    seconds = take_turns(turns, rounds, warm_up=False)
    return Table(
        f"{seeds} seeds of {STEPS:,} steps, {env}, networks {hidden}/{hidden}, batch {batch}, {rounds} rounds.",
        ("steps/s", "times as fast", "peak MiB"),
        speeds(seconds, memory),
        [
            "Steps of all seeds, over the time between start and end of training. Peak memory of all processes that "
            "run at a time, in which each counts its libraries."
        ],
    )


def train(group: Group, settings: Sequence[str]) -> tuple[float, float]:
    """Run `scripts/train.py` once for each of the group's overrides, in parallel.

    Returns:
        The longest training in seconds, and the peak memory of all processes together in MiB.

    Raises:
        InputError: with the last thing a run said, if it failed.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folders = [Path(name) / str(index) for index in range(len(group))]
        processes = []
        for folder, own in zip(folders, group, strict=True):
            command = [sys.executable, str(TRAIN), *settings, *own, f"hydra.run.dir={folder}"]
            process = stack.enter_context(Popen(command, stdout=DEVNULL, stderr=PIPE, text=True))
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            _, said = process.communicate()
            if process.returncode:
                raise InputError(f"A run failed: {(said.strip() or 'it said nothing').splitlines()[-1]}")
        results = [[json.loads(path.read_text()) for path in folder.rglob("result.json")] for folder in folders]
    seconds = max(result["training_seconds"] for each in results for result in each)
    return seconds, sum(max(result["peak_memory_mib"] for result in each) for each in results)
