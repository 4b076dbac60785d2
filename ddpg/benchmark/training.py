"""Steps a second of whole training: acting, storing, sampling, one update a step; every contestant in its process."""

from contextlib import ExitStack
from typing import Any

from ddpg.benchmark.options import Options
from ddpg.benchmark.peers import StableBaselines, Tianshou, TorchRL, installed
from ddpg.benchmark.report import Report, cores, sizes
from ddpg.benchmark.subjects import NEVER, EndlessTraining
from ddpg.benchmark.turns import Spread, ratios, take_turns
from ddpg.benchmark.workers import start

STEPS = 400  # of a turn: two points of this project's learning curves


def measure(options: Options) -> Report:
    """The table: speeds relative to the first contestant, and peak memory."""
    makers, missing = _contestants(options)
    with ExitStack() as stack:
        workers = start(stack, makers)
        turns = {name: worker.turn(STEPS, "advance", STEPS) for name, worker in workers.items()}
        seconds = take_turns(turns, options.rounds)
    memory = {name: worker.memory for name, worker in workers.items()}
    base = next(iter(seconds))
    rows = [
        (
            name,
            f"{1 / Spread.of(times).median:,.0f}",
            str(ratios(seconds, base, name)),
            f"{memory[name]:,.0f}",
        )
        for name, times in seconds.items()
    ]
    notes = [
        f"Rounds of {STEPS} steps. tianshou, torchrl and ddpg take as many threads as ddpg chooses for the sizes. The "
        "peers write no curves; ddpg writes its default ones, but for the last row."
    ]
    if missing:
        notes.append(f"Left out, as not installed: {', '.join(missing)}.")
    return Report(
        f"training: {options.env}, {sizes(options)}, one update a step, rounds: {options.rounds}",
        ("", "steps/s", "times as fast", "peak MiB"),
        rows,
        {"seconds": seconds, "memory": memory},
        notes,
    )


def _contestants(options: Options) -> tuple[dict[str, tuple[Any, ...]], list[str]]:
    """How each is made, and the names of the libraries that there are not."""
    peers: dict[str, dict[str, tuple[Any, ...]]] = {
        "stable_baselines3": {
            f"stable-baselines3, {threads} thread{'s' if threads > 1 else ''}": (
                StableBaselines,
                options,
                "stable_baselines3",
                threads,
            )
            for threads in sorted({1, cores()})
        },
        "sbx": {"SBX (JAX)": (StableBaselines, options, "sbx", 1)},
        "tianshou": {"tianshou": (Tianshou, options)},
        "torchrl": {"torchrl": (TorchRL, options)},
    }
    found: dict[str, tuple[Any, ...]] = {}
    for module, makers in peers.items():
        found |= makers if installed(module) else {}
    own: dict[str, tuple[Any, ...]] = {
        "ddpg, eager": (EndlessTraining, options),
        "ddpg, compiled": (EndlessTraining, options, "compile=true"),
        "ddpg, compiled, no curves": (EndlessTraining, options, "compile=true", f"log_interval={NEVER}"),
    }
    return found | own, [module for module in peers if not installed(module)]
