"""Time contestants in turn, since on a noisy machine only ratios within a round mean something."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self

import torch

from ddpg.base.progress import fleeting

Turn = Callable[[], float]
"""Works once and returns the seconds that one unit of the work took."""


class Spread(NamedTuple):
    """Median and range of a figure over the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Return median and range of the values."""
        ordered = sorted(values)
        return cls(statistics.median(ordered), ordered[0], ordered[-1])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def take_turns(contestants: Mapping[str, Turn], rounds: int, warm_up: bool = True) -> dict[str, list[float]]:
    """Return the seconds of each contestant, one entry a round; a round before the first warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for name, turn in fleeting(list(contestants.items()) * (rounds + warm_up), "measuring", " turns"):
        seconds[name].append(turn())
    return {name: times[warm_up:] for name, times in seconds.items()}


def ratios(seconds: Mapping[str, list[float]], one: str, other: str) -> Spread:
    """Return the time of one contestant divided by that of the other in the same round."""
    return Spread.of(own / each for own, each in zip(seconds[one], seconds[other], strict=True))


def timed(
    run: Callable[..., Any], *arguments: Any, repetitions: int = 1, device: str = "cpu", threads: int | None = None
) -> Turn:
    """Return a turn of `repetitions` calls, timed by the call, with so many threads of PyTorch."""

    def turn() -> float:
        if threads is not None:
            torch.set_num_threads(threads)
        synchronize(device)
        started = time.perf_counter()
        for _ in range(repetitions):
            run(*arguments)
        synchronize(device)
        return (time.perf_counter() - started) / repetitions

    return turn


def synchronize(device: str) -> None:
    """Wait for all work on the device; on the CPU it is done when a call returns."""
    if device != "cpu":
        torch.accelerator.synchronize(device)
