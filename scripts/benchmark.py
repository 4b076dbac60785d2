"""What an audit costs: one update of an agent inside GradientFlow, as a ratio to the same update without.

The ways take turns, update by update, in one process. Printed are the median of the ratios of rounds and their range.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from gymnasium.spaces import Box
from tqdm import tqdm

from ddpg import DDPG, Batch, GradientFlow


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--updates", type=int, default=20, help="of each way in a round")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    agent = DDPG(Box(-np.inf, np.inf, (3,)), Box(-2, 2, (1,)))
    batch = Batch(torch.randn(128, 3), torch.rand(128, 1), torch.randn(128), torch.randn(128, 3), torch.zeros(128))
    modules = agent.modules()
    ways: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "outside": nullcontext,
        "outside again": nullcontext,
        "inside": lambda: GradientFlow(modules),
        "inside, with tracing": lambda: GradientFlow(modules, trace=True),
    }
    for way in ways.values():
        with way():
            agent.update(batch)
    medians: dict[str, list[float]] = {way: [] for way in ways}
    for _ in tqdm(range(arguments.rounds), unit=" rounds", leave=False):
        for name, way in ways.items():
            with way():
                medians[name].append(_median_time(lambda: agent.update(batch), arguments.updates))

    print(f"one update, networks 256/256, batch 128, {arguments.threads} thread(s), PyTorch {torch.__version__}")
    for name, times in medians.items():
        ratios = [each / base for each, base in zip(times, medians["outside"], strict=True)]
        print(
            f"{name:22}{statistics.median(times) * 1e3:8.2f} ms   "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def _median_time(run: Callable[[], object], times: int) -> float:
    """Seconds."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
