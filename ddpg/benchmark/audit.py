"""What an audit costs: updates outside and inside GradientFlow, and the memory that its record takes."""

import gc
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ddpg.benchmark.options import Options
from ddpg.benchmark.report import Report, sizes
from ddpg.benchmark.subjects import agent_and_buffer, threads_of
from ddpg.benchmark.turns import Spread, ratios, take_turns, timed
from ddpg.gradient_flow import GradientFlow

UPDATES = 20  # within one audit
REMEMBERED = (100, 500)  # updates, after which the record's memory is looked at


def measure(options: Options) -> Report:
    """The table: time of an update, and how many times as long as outside."""
    agent, buffer = agent_and_buffer(options)
    batch, modules = buffer.sample(options.batch), agent.modules()

    def update_inside(audit: Callable[[], AbstractContextManager[Any]]) -> None:
        with audit():
            for _ in range(UPDATES):
                agent.update(batch)

    audits: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "outside": nullcontext,
        "outside again": nullcontext,
        "inside": lambda: GradientFlow(modules),
        "inside, with tracing": lambda: GradientFlow(modules, trace=True),
    }
    contestants = {
        name: timed(update_inside, audit, device=options.device, threads=threads_of(options))
        for name, audit in audits.items()
    }
    seconds = take_turns(contestants, options.rounds)
    memory = {name: _memory(audits[name], lambda: agent.update(batch)) for name in ("inside", "inside, with tracing")}
    rows = [
        (
            name,
            f"{Spread.of(times).median / UPDATES * 1e6:,.1f}",
            str(ratios(seconds, name, "outside")),
            *(f"{size / 1e3:,.0f}" for size in memory.get(name, ())),
            *([""] * len(REMEMBERED) if name not in memory else []),
        )
        for name, times in seconds.items()
    ]
    return Report(
        f"audit: {UPDATES} updates, {sizes(options)}, rounds: {options.rounds}",
        ("", "us an update", "times as long", *(f"kB after {updates}" for updates in REMEMBERED)),
        rows,
        {"seconds": seconds, "bytes": memory},
    )


def _memory(audit: Callable[[], AbstractContextManager[Any]], update: Callable[[], Any]) -> list[int]:
    """Bytes that Python has taken since the audit was opened, after so many updates; tensors' contents not counted."""
    sizes = []
    with audit():
        tracemalloc.start()
        for updates in range(1, max(REMEMBERED) + 1):
            update()
            if updates in REMEMBERED:
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    return sizes
