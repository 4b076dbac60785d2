"""A replay buffer of a million transitions: memory, filling, sampling, against one array's rows and another library."""

import itertools
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from ddpg.benchmark.options import Options
from ddpg.benchmark.peers import installed
from ddpg.benchmark.report import Report
from ddpg.benchmark.turns import Spread, ratios, take_turns
from ddpg.benchmark.workers import start
from ddpg.replay_buffer import ReplayBuffer

CAPACITY = 1_000_000
OBSERVATIONS, ACTIONS = Box(-np.inf, np.inf, (17,)), Box(-1, 1, (6,))  # HalfCheetah's, in single precision
MINIMUM = 4 * (17 + 6 + 1) + 1  # bytes of a transition: each observation once, action and reward, one byte of flags
WIDTH = 17 + 6 + 1 + 17 + 1  # numbers of a sampled row
BOUND = "rows of one array"
EPISODE = 1000
SAMPLES = 500  # of a turn
INDICES = 4000


def measure(options: Options) -> Report:
    """The table: bytes a transition, filling rate, sampling time, peak memory."""
    makers: dict[str, tuple[Any, ...]] = {"ddpg": (OwnBuffer, CAPACITY, options.device)}
    if installed("stable_baselines3"):
        makers["stable-baselines3"] = (StableBaselinesBuffer, CAPACITY)
    makers[BOUND] = (PlainRows, CAPACITY, WIDTH, options.batch, options.device)
    piece = -(-CAPACITY // options.rounds)
    with ExitStack() as stack:
        workers = start(stack, makers)
        buffers = {name: worker for name, worker in workers.items() if name != BOUND}
        fill = {name: worker.turn(piece, "fill", piece) for name, worker in buffers.items()}
        filling = take_turns(fill, options.rounds, warm_up=False)
        sample = {name: worker.turn(SAMPLES, "sample", options.batch, SAMPLES) for name, worker in workers.items()}
        sampling = take_turns(sample, options.rounds)
        stored = {name: worker.call("stored").value / CAPACITY for name, worker in buffers.items()}
    memory = {name: worker.memory for name, worker in workers.items()}

    def row(name: str) -> tuple[str, ...]:
        held = stored.get(name)
        return (
            name,
            *(("", "") if held is None else (f"{held:,.0f}", f"{held / MINIMUM:.2f}")),
            f"{1e-3 / Spread.of(filling[name]).median:,.0f}" if name in filling else "",
            f"{Spread.of(sampling[name]).median * 1e6:,.1f}",
            str(ratios(sampling, name, BOUND)),
            f"{memory[name]:,.0f}",
        )

    return Report(
        f"buffer: {CAPACITY:,} transitions of HalfCheetah's size, batches of {options.batch}, rounds: {options.rounds}",
        ("", "bytes", "x minimum", "1000 adds/s", "sample us", "times as long", "peak MiB"),
        [row(name) for name in makers],
        {
            "bytes_a_transition": stored,
            "minimum_bytes": MINIMUM,
            "seconds_of_an_add": filling,
            "seconds_of_a_sample": sampling,
            "memory": memory,
        },
        [
            f"bytes of a transition; the minimum, {MINIMUM}, stores each observation once. Added one at a time; each "
            f"round fills an equal part. {BOUND.capitalize()}: index_select of as many rows of {WIDTH} "
            "numbers, with indices drawn beforehand. Peak memory is that of the process, its libraries included."
        ],
    )


class Episodes:
    """Transitions that follow each other, as an environment gives them, again and again the same."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._observations = generator.standard_normal((EPISODE + 1, 17), np.float32)
        self._actions = generator.uniform(-1, 1, (EPISODE, 6)).astype(np.float32)
        self._position = 0

    def take(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The next transition: observation, action, next observation."""
        here = self._position
        self._position = (here + 1) % EPISODE
        return self._observations[here], self._actions[here], self._observations[here + 1]


class OwnBuffer:
    """The buffer of this project."""

    def __init__(self, capacity: int, device: str) -> None:
        torch.set_num_threads(1)
        self._buffer = ReplayBuffer(capacity, OBSERVATIONS, ACTIONS, device=device)
        self._episodes = Episodes()
        self._device = device

    def fill(self, count: int) -> None:
        """Add so many transitions, one at a time."""
        for _ in range(count):
            observation, action, following = self._episodes.take()
            self._buffer.add(observation, action, 1.0, following, False)

    def sample(self, batch: int, times: int) -> None:
        """Sample so many batches."""
        sample = self._buffer.sampler(batch)
        for _ in range(times):
            sample()
        _finish(self._device)

    def stored(self) -> int:
        """Bytes of what is stored."""
        return stored_bytes(self._buffer)


class StableBaselinesBuffer:
    """The buffer of stable-baselines3, as its DDPG makes it."""

    def __init__(self, capacity: int) -> None:
        from stable_baselines3.common.buffers import ReplayBuffer as TheirBuffer

        torch.set_num_threads(1)
        self._buffer = TheirBuffer(capacity, OBSERVATIONS, ACTIONS, device="cpu")
        self._episodes = Episodes()

    def fill(self, count: int) -> None:
        """Add so many transitions, one at a time."""
        reward, done = np.ones(1, np.float32), np.zeros(1, bool)
        for _ in range(count):
            observation, action, following = self._episodes.take()
            self._buffer.add(observation, following, action, reward, done, [{}])

    def sample(self, batch: int, times: int) -> None:
        """Sample so many batches."""
        for _ in range(times):
            self._buffer.sample(batch)

    def stored(self) -> int:
        """Bytes of what is stored."""
        return stored_bytes(self._buffer)


class PlainRows:
    """One contiguous array as wide as a batch's rows: what a sample costs at the least."""

    def __init__(self, capacity: int, width: int, batch: int, device: str) -> None:
        torch.set_num_threads(1)
        self._rows = torch.ones(capacity, width, device=device)
        self._sampled = self._rows.new_empty(batch, width)
        # So many that they come from all over the array, and not from what a cache has kept of it.
        self._indices = itertools.cycle(torch.randint(capacity, (INDICES, batch), device=device))
        self._device = device

    def sample(self, batch: int, times: int) -> None:
        """Gather so many batches by indices that were drawn beforehand."""
        for indices in itertools.islice(self._indices, times):
            torch.index_select(self._rows, 0, indices, out=self._sampled)
        _finish(self._device)


def stored_bytes(buffer: object) -> int:
    """Of the arrays and tensors that a buffer holds; what two of them share counts once."""
    held = [torch.as_tensor(each) for each in vars(buffer).values() if isinstance(each, np.ndarray | Tensor)]
    return sum({each.data_ptr(): each.nbytes for each in held}.values())


def _finish(device: str) -> None:
    if device != "cpu":
        torch.accelerator.synchronize(device)
