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
from ddpg.base.memory import check_memory
from ddpg.base.spaces import REAL_KINDS, as_rows, check_spaces, size, stored_size

GREATEST_SEED = 2**64 - 1  # that PyTorch takes
_GREATEST = float(np.finfo(np.float32).max)


class Batch(NamedTuple):
    """Transitions, one a row; floating-point tensors of one dtype on one device."""

    observations: Tensor  # (B, obs), flattened
    actions: Tensor  # (B, act), flattened, in the environment's units
    rewards: Tensor  # (B,)
    next_observations: Tensor  # (B, obs): the true last observation where an episode ended
    # (B,): 1 where the episode ended by termination, 0 elsewhere, truncation included; of n steps 1 − γⁿ⁻¹, not 0
    terminations: Tensor

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move or cast every tensor, as `torch.Tensor.to` does."""
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

    A transition is one float32 row, so that storing is one write and sampling one gather. Observations of a uint8 space
    are packed into it bitwise, a byte each; a batch holds them as float32, 0 to 255.

    Args:
        capacity: number of transitions to keep; the oldest is overwritten first.
        observation_space, action_space: Boxes of any shape; the action space bounded.
        seed: seed of the sampling.
        device: where the transitions lie and the batches come from.

    Raises:
        InputError: if the capacity is below 1 or more than the memory, or if DDPG does not take the spaces.
    """

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
        self.observation_space, self.action_space = observation_space, action_space
        self._packed = ("observations", "next_observations") if observation_space.dtype == np.uint8 else ()
        stored = stored_size(observation_space)
        ends = np.cumsum([stored, size(action_space), 1, stored]).tolist()
        # Rewards and terminations, the third and the last, are numbers, not rows of one.
        self._places = (slice(ends[0]), slice(ends[0], ends[1]), ends[1], slice(ends[2], ends[3]), ends[3])
        self.width = ends[3] + 1
        if torch.device(device).type == "cpu":
            others = sum(each._rows.nbytes for each in _buffers if each._rows.device.type == "cpu")
            check_memory(capacity, observation_space, action_space, others=others)
        self._rows: Tensor = torch.empty(capacity, self.width, device=device)
        _buffers.add(self)
        self.added = 0  # ever: transitions are numbered from 0, and number n lies in row n % capacity
        # The same samples on every device.
        self._generator = torch.Generator().manual_seed(whole("seed", seed, 0, GREATEST_SEED))
        low, high = action_space.low.ravel().astype(np.float64), action_space.high.ravel().astype(np.float64)
        epsilon = max(float(np.finfo(str(each)).eps) for each in ("float32", action_space.dtype))
        rounding = 16 * epsilon * np.maximum(abs(low), abs(high))
        # Of each number of a row. Bytes that are packed may well be outside.
        self._least, self._greatest = np.full((2, self.width), [[-_GREATEST], [_GREATEST]])
        self._least[self._places[1]], self._greatest[self._places[1]] = low - rounding, high + rounding

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        _buffers.add(self)

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
            terminated: whether the episode ended by termination; False at a truncation. For transitions of n steps it
                is what `NStep` makes of that.

        Raises:
            InputError: if shapes do not fit the spaces or each other, a number is not finite, an observation of a uint8
                space is not of whole numbers from 0 to 255, an action lies outside its bounds by more than rounding, or
                `terminated` is neither true nor false nor between.
        """
        columns = {
            "observations": as_rows(self.observation_space, observation, "observation"),
            "actions": as_rows(self.action_space, action, "action"),
            "rewards": np.asarray(reward).reshape(-1, 1),
            "next_observations": as_rows(self.observation_space, next_observation, "next_observation"),
            "terminations": np.asarray(terminated).reshape(-1, 1),
        }
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(f"transitions of unequal number: {lengths}; pass one row of each for every transition.")
        if columns["rewards"].dtype.kind not in REAL_KINDS:
            raise InputError(f"reward={reward!r}: must be a real number, one for each transition.")
        ends = columns["terminations"]
        if ends.dtype.kind != "b" and (ends.dtype.kind not in REAL_KINDS or not ((ends >= 0) & (ends <= 1)).all()):
            raise InputError(
                f"terminated={terminated!r}: must be True or False, for each transition (of several steps: a number "
                "from 0 to 1)."
            )
        for name in self._packed:
            columns[name] = _pack(columns[name], name)
        with np.errstate(over="ignore"):
            rows = np.concatenate([*columns.values()], axis=1, dtype=np.float32, casting="unsafe")
        if not ((rows >= self._least) & (rows <= self._greatest)).all():
            self._check_each(rows)
        self._write(rows)

    def _check_each(self, rows: np.ndarray) -> None:
        """Raise `InputError` if a number of rows `(n, width)` is not finite, or an action outside its bounds."""
        views = self._views(torch.from_numpy(rows))._asdict()
        bad = [name for name, view in views.items() if not view.isfinite().all()]
        require(
            not bad,
            f"transition with a number that is not finite in float32, in {', '.join(bad)}: the environment or the "
            "policy has diverged; clip or rescale its observations and rewards.",
        )
        place = self._places[1]
        actions = rows[:, place]
        outside = ((actions < self._least[place]) | (actions > self._greatest[place])).any(axis=1)
        if outside.any():
            low, high = self.action_space.low.ravel().tolist(), self.action_space.high.ravel().tolist()
            raise InputError(
                f"action {actions[outside][0].tolist()} lies outside its bounds, {low} to {high}: store it as the "
                "environment took it; clip it before the step."
            )

    def _views(self, rows: Tensor) -> Batch:
        """Return a batch of views of rows `(n, width)`: packed observations as uint8, all else as float32."""
        views = Batch(*(rows[:, place] for place in self._places))
        for name in self._packed:
            views = views._replace(**{name: getattr(views, name).view(torch.uint8)[:, : size(self.observation_space)]})
        return views

    def _write(self, rows: np.ndarray) -> None:
        start = self.added % self.capacity
        until_end = self.capacity - start
        if len(rows) > until_end:
            self._write(rows[:until_end])
            self._write(rows[until_end:])
            return
        if self._rows.device.type == "cpu":  # where NumPy takes half the time
            self._rows.numpy()[start : start + len(rows)] = rows
        else:
            self._rows[start : start + len(rows)] = torch.from_numpy(rows)
        self.added += len(rows)

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` transitions uniformly with replacement; `InputError` if the buffer is empty."""
        return self.sampler(batch_size)()

    def sampler(self, batch_size: int) -> "Sampler":
        """Return a function like `sample` for a loop: every call draws anew, into the tensors of the same batch."""
        return Sampler(self, batch_size)

    def transitions(self) -> Batch:
        """Return everything stored, oldest first."""
        return self._views(self.rows(self.added - len(self), self.added)).to(torch.float32)

    def rows(self, first: int, last: int) -> Tensor:
        """Return transitions number `first` to `last` − 1, which must still be there, as `(last − first, width)`."""
        return self._rows[torch.arange(first, last, device=self._rows.device) % self.capacity]

    def state_dict(self) -> dict[str, Any]:
        """Return the count of transitions added and the state of the sampling, without the transitions (see `rows`)."""
        return {"added": self.added, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any], rows: Iterable[Tensor]) -> None:
        """Restore what `state_dict` returned, and all `rows` stored then, oldest first, in pieces `(n, width)`."""
        added = whole("added", state["added"], least=0)
        self.added = first = max(0, added - self.capacity)
        for piece in rows:
            self._write(piece.numpy(force=True))
        require(self.added == added, f"{self.added - first} stored transitions, {added - first} were expected.")
        self._generator.set_state(state["generator"])


class Sampler:
    """Draws batches of a buffer into the same tensors: `ReplayBuffer.sampler`. A copy draws from the buffer's copy."""

    def __init__(self, buffer: ReplayBuffer, batch_size: int) -> None:
        self._buffer = buffer
        self._indices = torch.empty(whole("batch_size", batch_size, least=1), dtype=torch.int64)
        self._rows = buffer._rows.new_empty(batch_size, buffer.width)
        self._views = self._batch = buffer._views(self._rows)
        if buffer._packed:
            self._batch = self._views.to(torch.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        return Sampler, (self._buffer, len(self._indices))

    def __call__(self) -> Batch:
        require(len(self._buffer) > 0, "sample from an empty replay buffer: add a transition first.")
        self._indices.random_(len(self._buffer), generator=self._buffer._generator)
        torch.index_select(self._buffer._rows, 0, self._indices.to(self._rows.device), out=self._rows)
        for name in self._buffer._packed:
            getattr(self._batch, name).copy_(getattr(self._views, name))
        return self._batch


def _pack(rows: np.ndarray, name: str) -> np.ndarray:
    """Return whole numbers from 0 to 255, `(n, size)`, as the bytes of float32 numbers `(n, ⌈size / 4⌉)`."""
    count, size = rows.shape
    packed = np.zeros((count, size + -size % 4), np.uint8)
    with np.errstate(invalid="ignore"):
        packed[:, :size] = rows
    require(
        np.array_equal(packed[:, :size], rows),
        f"{name} that are not whole numbers from 0 to 255, as the observation space of type uint8 holds them: pass "
        "them as the environment returns them.",
    )
    return packed.view(np.float32)


_buffers: "WeakSet[ReplayBuffer]" = WeakSet()  # whose memory is taken only as they fill: nobody would refuse too many
