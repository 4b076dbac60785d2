"""Contestants in turn, and what their figures come to over the rounds."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self

from ddpg.base.progress import Bar

Turn = Callable[[], float]
"""Works once and answers the seconds of one unit of the work."""


class Spread(NamedTuple):
    """A figure over the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Median and range of the values."""
        ordered = sorted(values)
        return cls(statistics.median(ordered), ordered[0], ordered[-1])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def take_turns(contestants: Mapping[str, Turn], rounds: int, warm_up: bool = True) -> dict[str, list[float]]:
    """Seconds of each contestant, one entry a round; a round before the first warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    parts = {"turns": "{n_fmt}/{total_fmt} turns", "left": "{remaining} left"}
    with Bar("", parts, total=(rounds + warm_up) * len(contestants), leave=False) as bar:
        for index in range(rounds + warm_up):
            for name, turn in contestants.items():
                bar.set_description_str(name)
                taken = turn()
                if index >= warm_up:
                    seconds[name].append(taken)
                bar.update()
    return seconds


def ratios(seconds: Mapping[str, list[float]], one: str, other: str) -> Spread:
    """The time of one contestant, divided by that of the other in the same round."""
    return Spread.of(own / each for own, each in zip(seconds[one], seconds[other], strict=True))


def timed(
    run: Callable[..., Any], *arguments: Any, repetitions: int = 1, device: str = "cpu", threads: int | None = None
) -> Turn:
    """A turn of some calls, with so many threads of PyTorch; its figure is one call's."""

    def turn() -> float:
        import torch  # here, since a process that only starts others needs none

        if threads is not None:
            torch.set_num_threads(threads)
        _finish(device)
        started = time.perf_counter()
        for _ in range(repetitions):
            run(*arguments)
        _finish(device)
        return (time.perf_counter() - started) / repetitions

    return turn


def _finish(device: str) -> None:
    """Wait for what the device has been given to do; the CPU is done when a call returns."""
    if device != "cpu":
        import torch

        torch.accelerator.synchronize(device)
