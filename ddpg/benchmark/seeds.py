"""Several seeds: one process after the other, all processes in parallel, and all at once in one process."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ddpg.base.progress import fleeting
from ddpg.benchmark import runs
from ddpg.benchmark.options import Options
from ddpg.benchmark.report import Report, sizes
from ddpg.benchmark.turns import Spread, Turn, ratios, take_turns

STEPS = 3000  # of each seed
NEVER = 10**12


class Outcome(NamedTuple):
    """What one way of training several seeds took."""

    seconds: float
    """between the start and the end of training"""
    wall: float
    """with everything: imports, compilation from the cache, final evaluations"""
    memory: float
    """the peak in MiB, of all processes that run at a time"""


def measure(options: Options) -> Report:
    """The table: throughput, relative to the eager processes in turn, and peak memory."""
    ways = {"in turn": in_turn, "in parallel": in_parallel, "at once": at_once}
    outcomes: dict[str, list[Outcome]] = {}

    def turn(name: str, way: Callable[[int, Sequence[str]], Outcome], settings: Sequence[str]) -> Turn:
        def run() -> float:
            outcomes.setdefault(name, []).append(way(options.seeds, settings))
            return outcomes[name][-1].seconds / (STEPS * options.seeds)

        return run

    contestants = {}
    for compiled in (False, True):
        for name, way in ways.items():
            settings = overrides(options, STEPS, compiled)
            full_name = f"{name}, {'compiled' if compiled else 'eager'}"
            contestants[full_name] = turn(full_name, way, settings)
    for way in fleeting(ways.values(), "compiling"):
        way(options.seeds if way is at_once else 1, overrides(options, 300, compiled=True))
    seconds = take_turns(contestants, options.rounds, warm_up=False)
    base = next(iter(seconds))
    rows = [
        (
            name,
            f"{1 / Spread.of(times).median:,.0f}",
            str(ratios(seconds, base, name)),
            f"{Spread.of(each.wall for each in outcomes[name]).median:,.1f}",
            f"{max(each.memory for each in outcomes[name]):,.0f}",
        )
        for name, times in seconds.items()
    ]
    return Report(
        f"seeds: {options.seeds} seeds of {STEPS:,} steps, {options.env}, {sizes(options)}, rounds: {options.rounds}",
        ("", "steps/s", "times as fast", "wall s", "peak MiB"),
        rows,
        {"seconds": seconds, "outcomes": {name: [each._asdict() for each in all_] for name, all_ in outcomes.items()}},
        ["steps/s counts the steps of all seeds, between the start and the end of training; wall seconds, all else."],
    )


def overrides(options: Options, steps: int, compiled: bool) -> list[str]:
    """Of the settings: a run that trains, and does little else."""
    return [
        f"env.id={options.env}",
        f"agent.hidden_sizes=[{options.hidden},{options.hidden}]",
        f"batch_size={options.batch}",
        f"device={options.device}",
        f"total_steps={steps}",
        f"compile={str(compiled).lower()}",
        "learning_starts=256",
        "evaluation.episodes=1",
        f"evaluation.interval={NEVER}",
        f"checkpoint.interval={NEVER}",
    ]


def in_turn(seeds: int, settings: Sequence[str]) -> Outcome:
    """One process a seed, one after the other."""
    started = time.perf_counter()
    with runs.folders(seeds) as folders:
        memory = [runs.training(folder, *settings, f"seed={seed}").finish() for seed, folder in enumerate(folders)]
        return Outcome(sum(map(_training_seconds, folders)), time.perf_counter() - started, max(memory))


def in_parallel(seeds: int, settings: Sequence[str]) -> Outcome:
    """One process a seed, all together, each with one thread."""
    started = time.perf_counter()
    with runs.folders(seeds) as folders:
        processes = [
            runs.training(folder, *settings, f"seed={seed}", "threads=1") for seed, folder in enumerate(folders)
        ]
        memory = [process.finish() for process in processes]
        return Outcome(max(map(_training_seconds, folders)), time.perf_counter() - started, sum(memory))


def at_once(seeds: int, settings: Sequence[str]) -> Outcome:
    """One process for all seeds."""
    started = time.perf_counter()
    with runs.folders(1) as [folder]:
        memory = runs.training(folder, *settings, f"seeds={seeds}").finish()
        return Outcome(_training_seconds(folder), time.perf_counter() - started, memory)


def _training_seconds(folder: Path) -> float:
    """The longest of the runs below the folder."""
    results = [json.loads(path.read_text()) for path in folder.rglob("result.json")]
    return max(float(result["training_seconds"]) for result in results)
