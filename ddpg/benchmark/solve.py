"""From the command line to a solved Pendulum: seconds of everything, imports and start-up included.

Solved is the first evaluation of ten episodes, from `reset(seed=10000)` to `reset(seed=10009)`, with a mean return of
−140 or more; there is one every 500 steps.
"""

import json
import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ddpg.benchmark import runs, stable_baselines3_run
from ddpg.benchmark.options import Options
from ddpg.benchmark.report import Report
from ddpg.benchmark.stable_baselines3_run import INTERVAL, SOLVED
from ddpg.benchmark.turns import Spread, Turn, ratios, take_turns

STEPS = 10_000  # then a run is given up
# rl-baselines3-zoo, hyperparams/ddpg.yml of April 2026, Pendulum-v1: 20,000 steps of these; the rest is the library's.
ZOO = {
    "gamma": 0.98,
    "buffer_size": 200_000,
    "learning_starts": 10_000,
    "gradient_steps": 1,
    "train_freq": 1,
    "learning_rate": 1e-3,
    "policy_kwargs": {"net_arch": [400, 300]},
}
NOISE = 0.1  # the zoo's, too


class Outcome(NamedTuple):
    """When a run had solved it; infinity if it had not."""

    seconds: float
    steps: float
    memory: float
    """the process's peak in MiB"""

    def finite(self) -> dict[str, float | None]:
        """As plain data; JSON has no infinity."""
        return {name: value if math.isfinite(value) else None for name, value in self._asdict().items()}


def measure(options: Options) -> Report:
    """The table: wall seconds to the solved task, one seed a round."""
    contestants: dict[str, Callable[[int], Outcome]] = {}
    if find_spec("stable_baselines3") is not None:
        contestants["stable-baselines3, settings of its zoo"] = lambda seed: _peer(ZOO, NOISE, seed)
        contestants["stable-baselines3, ddpg's settings"] = lambda seed: _peer(*_own_settings(), seed)
    contestants["ddpg, eager"] = lambda seed: _own(False, seed)
    contestants["ddpg, compiled"] = lambda seed: _own(True, seed)
    _compile()
    outcomes: dict[str, list[Outcome]] = {name: [] for name in contestants}

    def turn(name: str) -> Turn:
        def run() -> float:
            outcomes[name].append(contestants[name](len(outcomes[name])))
            return outcomes[name][-1].seconds

        return run

    seconds = take_turns({name: turn(name) for name in contestants}, options.rounds, warm_up=False)
    base = next(iter(seconds))
    rows = [
        (
            name,
            str(Spread.of(times)),
            str(ratios(seconds, base, name)) if all(map(math.isfinite, (*times, *seconds[base]))) else "",
            f"{Spread.of(each.steps for each in outcomes[name]).median:,.0f}",
            f"{max(each.memory for each in outcomes[name]):,.0f}",
        )
        for name, times in seconds.items()
    ]
    return Report(
        f"solve: Pendulum-v1 to a mean return of {SOLVED:g}, rounds: {options.rounds}, a seed each",
        ("", "seconds", "times as fast", "steps", "peak MiB"),
        rows,
        {"outcomes": {name: [each.finite() for each in every] for name, every in outcomes.items()}},
        [
            f"An evaluation of 10 episodes every {INTERVAL} steps, of the peer once it learns; inf: not within "
            f"{STEPS:,} (the zoo's settings: 20,000). The compiled code lies in the cache. --env, --hidden and --batch "
            "play no part: these are runs as they are typed."
        ],
    )


def _compile() -> None:
    with runs.folders(1) as [folder]:
        runs.training(folder, "compile=true", "total_steps=1010", "evaluation.episodes=1").finish()


def _own(compiled: bool, seed: int) -> Outcome:
    settings = [
        f"compile={str(compiled).lower()}",
        f"seed={seed}",
        f"total_steps={STEPS}",
        f"evaluation.interval={INTERVAL}",
        "evaluation.episodes=10",
        f"checkpoint.interval={STEPS}",
    ]
    with runs.folders(1) as [folder]:
        process = runs.training(folder, *settings)
        memory = process.finish()
        seconds, steps = first_solved(folder / "run", process.started)
        return Outcome(seconds, steps, memory)


def first_solved(folder: Path, started: float) -> tuple[float, float]:
    """Seconds from the start, and environment steps, of the first evaluation in a run's events that is good enough."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    for event in events.Scalars("eval/mean_return"):
        if event.value >= SOLVED:
            return event.wall_time - started, event.step
    return math.inf, math.inf


def _peer(settings: Mapping[str, Any], noise: float, seed: int) -> Outcome:
    request = {
        "settings": settings,
        "noise": noise,
        "seed": seed,
        "steps": max(STEPS, settings["learning_starts"] + STEPS),
    }
    with runs.folders(1) as [folder]:
        process = runs.Process(folder, "-m", stable_baselines3_run.__name__, json.dumps(request))
        memory = process.finish()
        reached = json.loads(process.output())
        return Outcome(reached["time"] - process.started, reached["steps"], memory)


def _own_settings() -> tuple[dict[str, Any], float]:
    """Default settings and noise of this project, in the words of stable-baselines3."""
    from ddpg.benchmark.subjects import run_settings

    own = run_settings()
    return {
        "gamma": own.agent.discount,
        "tau": own.agent.polyak,
        "learning_rate": own.agent.critic_lr,
        "batch_size": own.batch_size,
        "buffer_size": own.buffer_size,
        "learning_starts": own.learning_starts,
        "policy_kwargs": {"net_arch": own.agent.hidden_sizes},
    }, own.exploration["sigma"]
