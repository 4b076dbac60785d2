"""A replay buffer of a million transitions: memory, filling, sampling, against one array's rows and another library."""

import functools
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from ddpg import ReplayBuffer
from peers import available
from table import Table
from turns import Spread, ratios, synchronize, take_turns
from workers import started

CAPACITY = 1_000_000
OBSERVATIONS, ACTIONS = Box(-np.inf, np.inf, (17,)), Box(-1, 1, (6,))  # HalfCheetah's, in single precision
MINIMUM = 4 * (17 + 6 + 1) + 1  # bytes of a transition: each observation once, action and reward, one byte of flags
WIDTH = 17 + 6 + 1 + 17 + 1  # numbers of a sampled row
BOUND = "rows of one array"
EPISODE = 1000
SAMPLES = 500  # of a turn
INDICES = 4000


def measure(batch: int, device: str, rounds: int) -> Table:
    """Compare bytes a transition, time of filling and sampling, and peak memory."""
    peer = {"stable-baselines3": (Buffer, stable_baselines, CAPACITY, device)}
    makers, notes = available({"stable_baselines3": peer})
    makers["ddpg"] = (Buffer, own, CAPACITY, device)
    makers[BOUND] = (Buffer, plain_rows, CAPACITY, device)
    piece = -(-CAPACITY // rounds)
    with started(makers) as workers:
        buffers = {name: worker for name, worker in workers.items() if name != BOUND}
        fill = {name: worker.turn(piece, "fill", piece) for name, worker in buffers.items()}
        filling = take_turns(fill, rounds, warm_up=False)
        sample = {name: worker.turn(SAMPLES, "sample", batch, SAMPLES) for name, worker in workers.items()}
        sampling = take_turns(sample, rounds)
        stored = {name: worker.call("stored") / CAPACITY for name, worker in buffers.items()}
    rows = [
        (
            name,
            f"{Spread.of(times).median * 1e6:,.1f}",
            str(ratios(sampling, name, BOUND)),
            f"{workers[name].memory:,.0f}",
            *([f"{1e-3 / Spread.of(filling[name]).median:,.0f}"] if name in buffers else []),
            *([f"{stored[name]:,.0f}", f"{stored[name] / MINIMUM:.2f}"] if name in buffers else []),
        )
        for name, times in sampling.items()
    ]
    return Table(
        f"{CAPACITY:,} transitions of HalfCheetah's size, batches of {batch}, on {device}, {rounds} rounds.",
        ("µs a sample", "times as long", "peak MiB", "1000 adds/s", "bytes", "times minimum"),
        rows,
        [
            f"Bytes of a transition; the minimum, {MINIMUM}, stores each observation once. Added one at a time, an "
            f"equal part in each round. {BOUND.capitalize()}: index_select of as many rows of {WIDTH} numbers, with "
            "indices drawn beforehand. Peak memory is that of the process, its libraries included.",
            *notes,
        ],
    )


Made = tuple[object, Callable[..., Any], Callable[[int], Callable[[], Any]]]


def transitions() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield observation, action and next observation of an episode, again and again."""
    generator = np.random.default_rng(0)
    observations = generator.standard_normal((EPISODE + 1, 17), np.float32)
    actions = generator.uniform(-1, 1, (EPISODE, 6)).astype(np.float32)
    while True:
        yield from zip(observations, actions, observations[1:], strict=False)


class Buffer:
    """A buffer in use.

    Args:
        make: returns the buffer, what adds a transition to it, and what returns the sampler of batches of a size.
        capacity: of the buffer.
        device: that it lies on.
    """

    def __init__(self, make: Callable[[int, str], Made], capacity: int, device: str) -> None:
        torch.set_num_threads(1)
        self._buffer, self._add, self._sampler = make(capacity, device)
        self._transitions = transitions()
        self._device = device

    def fill(self, count: int) -> None:
        """Add `count` transitions, one at a time."""
        for transition in itertools.islice(self._transitions, count):
            self._add(*transition)

    def sample(self, batch: int, times: int) -> None:
        """Sample batches."""
        sample = self._sampler(batch)
        for _ in range(times):
            sample()
        synchronize(self._device)

    def stored(self) -> int:
        """Return the bytes of the arrays and tensors that the buffer holds; what two of them share counts once."""
        held = [torch.as_tensor(each) for each in vars(self._buffer).values() if isinstance(each, np.ndarray | Tensor)]
        return sum({each.data_ptr(): each.nbytes for each in held}.values())


def own(capacity: int, device: str) -> Made:
    """Make the buffer of this project."""
    buffer = ReplayBuffer(capacity, OBSERVATIONS, ACTIONS, device=device)
    return buffer, lambda here, action, following: buffer.add(here, action, 1.0, following, False), buffer.sampler


def stable_baselines(capacity: int, device: str) -> Made:
    """Make the buffer of stable-baselines3 as its DDPG does, on the CPU."""
    from stable_baselines3.common.buffers import ReplayBuffer as TheirBuffer

    buffer = TheirBuffer(capacity, OBSERVATIONS, ACTIONS, device="cpu")
    reward, done = np.ones(1, np.float32), np.zeros(1, bool)
    return (
        buffer,
        lambda here, action, following: buffer.add(here, following, action, reward, done, [{}]),
        lambda batch: partial(buffer.sample, batch),
    )


def plain_rows(capacity: int, device: str) -> Made:
    """Make one contiguous array as wide as a batch's rows: what a sample costs at the least."""
    rows = torch.ones(capacity, WIDTH, device=device)

    @functools.cache
    def sampler(batch: int) -> Callable[[], Any]:
        sampled = rows.new_empty(batch, WIDTH)
        # So many that they come from all over the array, and not from what a cache has kept of it.
        indices = itertools.cycle(torch.randint(capacity, (INDICES, batch), device=device))
        return lambda: torch.index_select(rows, 0, next(indices), out=sampled)

    return rows, lambda *transition: None, sampler
