"""One update, eager and compiled, beside the matrix products that it consists of, and the calls around it."""

import copy
from typing import Any

import numpy as np
import torch

from ddpg.agent import DDPG
from ddpg.benchmark.options import Options
from ddpg.benchmark.report import Report, cores, sizes
from ddpg.benchmark.subjects import agent_and_buffer, compiled_update, kinds, random_transitions
from ddpg.benchmark.turns import Spread, Turn, ratios, take_turns, timed
from ddpg.replay_buffer import ReplayBuffer

# Forward: 2 target networks, critic, actor, critic. Backward: critic 2 and actor 2 (inputs and weights), the frozen
# critic 1 (inputs). The other layers are small.
PRODUCTS = 10


def measure(options: Options) -> Report:
    """The table: time, speed against the eager update, and the share of the matrix products' rate that is reached."""
    agent, buffer = agent_and_buffer(options)
    thread_counts = sorted({1, cores()}) if options.device == "cpu" else [1]
    updates = {
        name: turn for threads in thread_counts for name, turn in _updates(options, agent, buffer, threads).items()
    }
    products = {_bound(threads): _products(options, threads) for threads in thread_counts}
    calls = _calls(options, agent, buffer)
    seconds = take_turns(updates | products | calls, options.rounds)
    operations = PRODUCTS * 2 * options.batch * options.hidden**2
    base = next(iter(updates))
    bounds = {
        name: _bound(threads) for threads in thread_counts for name in updates if name.endswith(_threads(threads))
    }

    def row(name: str) -> tuple[str, ...]:
        time = Spread.of(seconds[name]).median
        microseconds = f"{time * 1e6:,.1f}"
        if name in calls:
            return name, microseconds, "", "", ""
        share = str(ratios(seconds, bounds[name], name)) if name in bounds else ""
        return name, microseconds, str(ratios(seconds, base, name)), share, f"{operations / time / 1e9:,.1f}"

    return Report(
        f"update: {sizes(options)}, on {options.device}, rounds: {options.rounds}",
        ("", "us", "times as fast", "share of products' rate", "GFLOP/s"),
        [row(name) for name in seconds],
        {"seconds": seconds, "operations": operations},
        [
            f"The matrix products are {PRODUCTS} of the update's largest shape, all that it needs. GFLOP/s counts "
            "these alone; the share compares an update with the products of the same number of threads, in each round."
        ],
    )


def _updates(options: Options, agent: DDPG, buffer: ReplayBuffer, threads: int) -> dict[str, Turn]:
    torch.set_num_threads(threads)
    batch = buffer.sample(options.batch)
    work: dict[str, Any] = {"repetitions": 20, "device": options.device, "threads": threads}
    found = {f"eager, {_threads(threads)}": timed(agent.update, batch, **work)}
    if "compiled" in kinds(options):
        compiled = compiled_update(copy.deepcopy(agent), batch)
        found[f"compiled, {_threads(threads)}"] = timed(compiled, batch, **work)
    return found


def _products(options: Options, threads: int) -> Turn:
    left = torch.randn(options.batch, options.hidden, device=options.device)
    right = torch.randn(options.hidden, options.hidden, device=options.device)
    product = torch.empty_like(left)

    def multiply() -> None:
        for _ in range(PRODUCTS):
            torch.mm(left, right, out=product)

    return timed(multiply, repetitions=20, device=options.device, threads=threads)


def _calls(options: Options, agent: DDPG, buffer: ReplayBuffer) -> dict[str, Turn]:
    """What else a training step calls."""
    calls: dict[str, tuple[Any, ...]] = {
        "act, one row": (agent.act, np.zeros((1, 3))),
        "act, 8 rows": (agent.act, np.zeros((8, 3))),
        "buffer: add": (buffer.add, *random_transitions(1)),
        "buffer: sample": (buffer.sampler(options.batch),),
    }
    return {name: timed(*call, repetitions=500, device=options.device, threads=1) for name, call in calls.items()}


def _bound(threads: int) -> str:
    return f"its matrix products, {_threads(threads)}"


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"
