"""One update, eager and compiled, beside the matrix products that it consists of."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ddpg import CompiledUpdate
from subject import agent_and_batch
from table import Table
from turns import Spread, Turn, ratios, take_turns, timed

# Forward: 2 target networks, critic, actor, critic. Backward: critic 2 and actor 2 (inputs and weights), the frozen
# critic 1 (inputs). The other layers are small.
PRODUCTS = 10
REPETITIONS = 20  # of a turn


def measure(hidden: int, batch: int, device: str, rounds: int) -> Table:
    """Compare the time of an update with that of an eager one, and with its matrix products alone."""
    agent, sampled = agent_and_batch(hidden, batch, device)
    matrices = [torch.randn(rows, hidden, device=device) for rows in (batch, hidden, batch)]
    turns: dict[str, Turn] = {}
    bounds: dict[str, str] = {}
    for threads in (1, torch.get_num_threads()) if device == "cpu" else (1,):
        suffix = f", threads={threads}"
        work: dict[str, Any] = {"repetitions": REPETITIONS, "device": device, "threads": threads}
        updates: dict[str, Callable[..., Any]] = {"eager": agent.update}
        if torch.device(device).type in ("cpu", "cuda"):
            updates["compiled"] = CompiledUpdate(copy.deepcopy(agent))  # while it warms up
        for name, update in updates.items():
            turns[name + suffix] = timed(update, sampled, **work)
            bounds[name + suffix] = f"matrix products{suffix}"
        turns[f"matrix products{suffix}"] = timed(_products, *matrices, **work)
    seconds = take_turns(turns, rounds)
    rows = [
        (
            name,
            f"{Spread.of(times).median * 1e6:,.0f}",
            str(ratios(seconds, "eager, threads=1", name)),
            str(ratios(seconds, bounds[name], name)) if name in bounds else "",
        )
        for name, times in seconds.items()
    ]
    return Table(
        f"Updates on {device}, networks {hidden}/{hidden}, batch {batch}, {rounds} rounds of {REPETITIONS}.",
        ("µs", "times as fast", "share of products' rate"),
        rows,
        [
            f"The matrix products are the {PRODUCTS} largest of an update. The share compares an update with the "
            "products on as many threads, in the same round."
        ],
    )


def _products(left: Tensor, right: Tensor, product: Tensor) -> None:
    for _ in range(PRODUCTS):
        torch.mm(left, right, out=product)
