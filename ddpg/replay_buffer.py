"""The replay buffer, and the batch that it hands to the agent."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self
from weakref import WeakSet

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from ddpg.base.errors import InputError, require, whole
from ddpg.base.memory import physical_memory
from ddpg.base.spaces import REAL_KINDS, as_rows, check_spaces, size

GREATEST_SEED = 2**64 - 1
"""that PyTorch takes"""


class Batch(NamedTuple):
    """Transitions, one a row; floating-point tensors of one dtype on one device."""

    observations: Tensor
    """`(B, obs)`, flattened"""
    actions: Tensor
    """`(B, act)`, flattened, in the environment's units"""
    rewards: Tensor
    """`(B,)`"""
    next_observations: Tensor
    """`(B, obs)`: the true last observation where an episode ended"""
    terminations: Tensor
    """`(B,)`: 1 where the episode ended by termination, 0 elsewhere, truncation included"""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Every tensor moved or cast as by `torch.Tensor.to`."""
        return type(self)(*(tensor.to(*args, **kwargs) for tensor in self))


def check_batch(batch: Batch, observation_space: Box, action_space: Box, dtype: torch.dtype) -> None:
    """Raise `InputError` unless the batch is of these spaces and this precision."""
    require(isinstance(batch, Batch), f"batch of type {type(batch).__name__}: pass a ddpg.Batch.")
    rows = len(batch.rewards) if batch.rewards.dim() else 0
    observations, actions = (rows, size(observation_space)), (rows, size(action_space))
    expected = (observations, actions, (rows,), observations, (rows,))
    for name, tensor, shape in zip(batch._fields, batch, expected, strict=True):
        if tensor.shape != shape or tensor.dtype != dtype or rows == 0:
            raise InputError(
                f"batch.{name}: {tensor.dtype} of shape {tuple(tensor.shape)}; expected {dtype} of shape {shape}, "
                "with one or more rows: rewards and terminations are (B,), the others (B, size of the space)."
            )


class ReplayBuffer:
    """The latest `capacity` transitions, sampled uniformly with replacement (Lillicrap et al., 2015, section 3).

    A transition is one float32 row, so that storing is one write and sampling one gather.

    Args:
        capacity: how many transitions to keep; the oldest is overwritten first.
        observation_space: a Box of any shape and type.
        action_space: a bounded Box of any shape.
        seed: of the sampling.
        device: where the transitions lie and the batches come from.

    Raises:
        InputError: for a capacity below 1 or beyond the memory, or spaces that DDPG does not take.
    """

    _rows: Tensor

    def __init__(
        self,
        capacity: int,
        observation_space: Box,
        action_space: Box,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        check_spaces(observation_space, action_space)
        self.capacity = capacity = whole("capacity", capacity, least=1)
        self.observation_space = observation_space
        self.action_space = action_space
        self._widths = [size(observation_space), size(action_space), 1, size(observation_space), 1]
        if torch.device(device).type == "cpu":
            others = sum(each._rows.nbytes for each in _buffers if each._rows.device.type == "cpu")
            check_memory(capacity, observation_space, action_space, others=others)
        try:
            self._rows = torch.empty(capacity, self.width, device=device)
        except RuntimeError as error:
            gigabytes = capacity * self.width * 4 / 1e9
            raise InputError(
                f"buffer capacity {capacity}: needs {gigabytes:.1f} GB on {device}, more than there is; lower it."
            ) from error
        _buffers.add(self)
        self._array = self._for_numpy()
        ends = np.cumsum(self._widths).tolist()
        # Rewards and terminations, the third and the last, are numbers, not rows of one.
        self._places = (slice(ends[0]), slice(ends[0], ends[1]), ends[1], slice(ends[2], ends[3]), ends[3])
        # The same samples on every device.
        self._generator = torch.Generator().manual_seed(whole("seed", seed, 0, GREATEST_SEED))
        self.added = 0
        """how many transitions were ever added: they are numbered from 0, and number n lies in row n % capacity"""
        self._least, self._most = self._limits()

    def _for_numpy(self) -> np.ndarray | None:
        """The rows' own memory for NumPy, whose calls are quicker. On another device there is none."""
        return self._rows.numpy() if self._rows.device.type == "cpu" else None

    def _limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest row: finite numbers, actions within their bounds but for rounding."""
        greatest = np.finfo(np.float32).max
        most = np.full(self.width, greatest, np.float64)
        least = -most
        low, high = self.action_space.low.ravel().astype(np.float64), self.action_space.high.ravel().astype(np.float64)
        dtypes: list[Any] = [np.float32, self.action_space.dtype]
        rounding = 16 * max(float(np.finfo(dtype).eps) for dtype in dtypes) * np.maximum(abs(low), abs(high))
        least[self._places[1]], most[self._places[1]] = low - rounding, high + rounding
        return least.clip(-greatest, greatest).astype(np.float32), most.clip(-greatest, greatest).astype(np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_array": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        _buffers.add(self)
        self._array = self._for_numpy()  # of the copied rows

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # two counters of one memory would overwrite each other's transitions

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: float | np.ndarray,
        next_observation: np.ndarray,
        terminated: bool | np.ndarray,
    ) -> None:
        """Store one transition, or several with a leading axis.

        Args:
            observation: in the observation space.
            action: in the action space.
            reward: one number a transition.
            next_observation: the observation that followed; at an episode's end its true last one, not the first of
                the next episode.
            terminated: whether the episode ended by termination; False at a truncation.

        Raises:
            InputError: where shapes do not fit the spaces or each other, a number is not finite, an action lies
                outside its bounds by more than rounding, or `terminated` is neither true nor false.
        """
        columns = (
            as_rows(self.observation_space, observation, "observation"),
            as_rows(self.action_space, action, "action"),
            np.asarray(reward).reshape(-1, 1),
            as_rows(self.observation_space, next_observation, "next_observation"),
            np.asarray(terminated).reshape(-1, 1),
        )
        count = len(columns[0])
        if len(set(map(len, columns))) > 1:
            lengths = dict(zip(Batch._fields, map(len, columns), strict=True))
            raise InputError(f"transitions of unequal number: {lengths}; pass one row of each for every transition.")
        kinds = columns[2].dtype.kind, columns[4].dtype.kind
        if kinds[0] not in REAL_KINDS:
            raise InputError(f"reward={reward!r}: must be a real number, one for each transition.")
        if kinds[1] != "b" and (kinds[1] not in REAL_KINDS or not np.isin(columns[4], (0, 1)).all()):
            raise InputError(f"terminated={terminated!r}: must be True or False, for each transition.")
        rows = np.empty((count, self.width), np.float32)
        with np.errstate(over="ignore"):
            np.concatenate(columns, axis=1, out=rows, casting="unsafe")
        if not ((rows >= self._least) & (rows <= self._most)).all():
            raise InputError(self._fault(rows))
        self._write(rows)

    def _fault(self, rows: np.ndarray) -> str:
        """What is wrong with rows that are not within the limits."""
        bad = [
            name
            for name, place in zip(Batch._fields, self._places, strict=True)
            if not np.isfinite(rows[:, place]).all()
        ]
        if bad:
            return (
                f"transition with a number that is not finite in float32, in {', '.join(bad)}: the environment or the "
                "policy has diverged; clip or rescale its observations and rewards."
            )
        place = self._places[1]
        least, most, actions = self._least[place], self._most[place], rows[:, place]
        outside = actions[((actions < least) | (actions > most)).any(axis=1)][0]
        return (
            f"action {outside.tolist()} lies outside its bounds, {self.action_space.low.ravel().tolist()} to "
            f"{self.action_space.high.ravel().tolist()}: store it as the environment took it; clip it before the step."
        )

    def _write(self, rows: np.ndarray) -> None:
        start = self.added % self.capacity
        until_end = self.capacity - start
        if len(rows) > until_end:
            self._write(rows[:until_end])
            self._write(rows[until_end:])
            return
        end = start + len(rows)
        if self._array is not None:
            self._array[start:end] = rows
        else:
            self._rows[start:end] = torch.from_numpy(rows)
        self.added += len(rows)

    def sample(self, batch_size: int) -> Batch:
        """`batch_size` transitions, float32, drawn uniformly with replacement.

        Raises:
            InputError: if the buffer is empty or the batch size below 1.
        """
        return self.sampler(batch_size)()

    def sampler(self, batch_size: int) -> "Sampler":
        """`sample` for a loop: every call draws anew, into the tensors of the same batch.

        Raises:
            InputError: if the batch size is below 1; the sampler, if the buffer is empty.
        """
        return Sampler(self, batch_size)

    def transitions(self) -> Batch:
        """Everything stored, oldest first."""
        rows = self.rows(self.added - len(self), self.added)
        return Batch(*(rows[:, place] for place in self._places))

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(self._widths)

    def rows(self, first: int, last: int) -> Tensor:
        """Transitions number `first` to `last` − 1 as `(last − first, width)`; they must still be there."""
        assert self.added - len(self) <= first <= last <= self.added
        return self._rows[torch.arange(first, last, device=self._rows.device) % self.capacity]

    def state_dict(self) -> dict[str, Any]:
        """How many transitions were added, and the state of the sampling. The transitions themselves: `rows`."""
        return {"added": self.added, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any], rows: Iterable[Tensor]) -> None:
        """Go on from where `state_dict` was taken, in a buffer of the same capacity and spaces.

        Args:
            state: from `state_dict`.
            rows: all that were stored then, oldest first, in pieces `(n, width)`.

        Raises:
            InputError: if they are not as many as there must be.
        """
        added = whole("added", state["added"], least=0)
        self.added = first = max(0, added - self.capacity)
        for piece in rows:
            require(
                piece.shape[1:] == (self.width,) and self.added + len(piece) <= added,
                f"stored transitions of shape {tuple(piece.shape)} do not fit a buffer with {added} of {self.width} "
                "numbers each.",
            )
            self._write(piece.numpy())
        require(self.added == added, f"{self.added - first} stored transitions, {added - first} were expected.")
        self._generator.set_state(state["generator"])


_buffers: "WeakSet[ReplayBuffer]" = WeakSet()
"""all that there are: memory is taken only as they fill, so that nobody else would refuse one too many"""


def check_memory(capacity: int, observation_space: Box, action_space: Box, count: int = 1, others: int = 0) -> None:
    """Raise `InputError` if so many buffers, with others of so many bytes, are more than this machine's memory."""
    needed = count * capacity * 4 * (2 * size(observation_space) + size(action_space) + 2)
    together = f"{f'{count} buffers together need' if count > 1 else 'needs'} {needed / 1e9:,.1f} GB"
    beside = f" beside the {others / 1e9:,.1f} GB of others" if others else ""
    memory = physical_memory()
    require(
        needed + others < memory,
        f"buffer capacity {capacity} (buffer_size): {together}{beside}, more than the {memory / 1e9:,.1f} GB "
        f"there are; lower it{', or delete the others first' if others else ''}.",
    )


class Sampler:
    """Draws batches of a buffer into the same tensors: `ReplayBuffer.sampler`. A copy draws from the buffer's copy."""

    def __init__(self, buffer: ReplayBuffer, batch_size: int) -> None:
        try:
            self._indices = torch.empty(whole("batch_size", batch_size, least=1), dtype=torch.int64, device="cpu")
            self._rows = buffer._rows.new_empty(batch_size, buffer.width)
        except RuntimeError as error:
            raise InputError(f"batch_size={batch_size}: more than the memory holds; lower it.") from error
        self._buffer = buffer
        self._batch = Batch(*(self._rows[:, place] for place in buffer._places))
        # The same memory for NumPy, whose calls are quicker.
        self._index_array = self._indices.numpy()
        self._row_array = self._rows.numpy() if buffer._array is not None else None

    def __reduce__(self) -> tuple[Any, ...]:
        return Sampler, (self._buffer, len(self._indices))

    def __call__(self) -> Batch:
        buffer = self._buffer
        require(buffer.added > 0, "sample from an empty replay buffer: add a transition first.")
        self._indices.random_(len(buffer), generator=buffer._generator)
        if buffer._array is not None:
            buffer._array.take(self._index_array, axis=0, out=self._row_array, mode="clip")  # "raise" would copy first
        else:
            torch.index_select(buffer._rows, 0, self._indices.to(buffer._rows.device), out=self._rows)
        return self._batch
