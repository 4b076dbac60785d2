"""What an audit costs: updates outside and inside GradientFlow, and the memory that its record takes."""

import gc
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ddpg import DDPG, Batch, GradientFlow
from ddpg.training.loop import suitable_threads
from subject import agent_and_batch
from table import Table
from turns import Spread, ratios, take_turns, timed

UPDATES = 20  # within one audit
REMEMBERED = (100, 500)  # updates after which the record's memory is looked at

Audit = Callable[[], AbstractContextManager[Any]]


def measure(hidden: int, batch: int, rounds: int) -> Table:
    """Compare the time of an update inside an audit with that outside."""
    agent, sampled = agent_and_batch(hidden, batch)
    audits: dict[str, Audit] = {
        "outside": nullcontext,
        "outside, measured again": nullcontext,
        "inside": lambda: GradientFlow(agent.modules()),
        "inside, with tracing": lambda: GradientFlow(agent.modules(), trace=True),
    }
    threads = suitable_threads([hidden, hidden], batch)
    turns = {name: timed(_updates, audit, agent, sampled, threads=threads) for name, audit in audits.items()}
    seconds = take_turns(turns, rounds)
    memory = {name: _memory(audits[name], agent, sampled) for name in ("inside", "inside, with tracing")}
    rows = [
        (
            name,
            f"{Spread.of(times).median / UPDATES * 1e6:,.0f}",
            str(ratios(seconds, name, "outside")),
            *(f"{size / 1e3:,.0f}" for size in memory.get(name, [])),
        )
        for name, times in seconds.items()
    ]
    return Table(
        f"Networks {hidden}/{hidden}, batch {batch}, {rounds} rounds of {UPDATES} updates, an audit for each round.",
        ("µs an update", "times as long", *(f"kB after {updates}" for updates in REMEMBERED)),
        rows,
        ["kB: the record's memory after so many updates."],
    )


def _updates(audit: Audit, agent: DDPG, batch: Batch) -> None:
    with audit():
        for _ in range(UPDATES):
            agent.update(batch)


def _memory(audit: Audit, agent: DDPG, batch: Batch) -> list[int]:
    """Return the bytes that Python has taken since the audit was opened; tensors' contents are not counted."""
    sizes = []
    with audit():
        tracemalloc.start()
        for updates in range(1, max(REMEMBERED) + 1):
            agent.update(batch)
            if updates in REMEMBERED:
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    return sizes
