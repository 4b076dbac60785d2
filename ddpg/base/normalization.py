"""Normalization of observations, in front of the networks, and of rewards, in front of the update."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.wrappers.utils import RunningMeanStd
from torch import Tensor, nn

from ddpg.base.spaces import size

_EPSILON, _LIMIT = 1e-8, 10.0


class Normalization(nn.Module):
    """Map observations to `clip((s − mean) / std, −10, 10)`.

    Mean and standard deviation are those of the observations that `update` has been given. The statistics are kept in
    float64 and belong to `state_dict()`.

    Args:
        observation_space: a Box of any shape.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, observation_space: Box) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size(observation_space)), persistent=False)
        self.register_buffer("std", torch.ones(size(observation_space)), persistent=False)
        self._statistics = RunningMeanStd(shape=(size(observation_space),))  # type: ignore[no-untyped-call]

    def forward(self, observations: Tensor) -> Tensor:
        """Normalize observations `(B, obs)`."""
        return ((observations - self.mean) / self.std).clamp(-_LIMIT, _LIMIT)

    def update(self, observations: np.ndarray) -> None:
        """Take observations `(n, obs)` into the statistics."""
        self._statistics.update(observations)  # type: ignore[no-untyped-call]
        self._apply_statistics()

    def get_extra_state(self) -> dict[str, Any]:
        """Return the statistics."""
        return _numbers(self._statistics)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the statistics."""
        _restore(self._statistics, state)
        self._apply_statistics()

    def _apply_statistics(self) -> None:
        self.mean.copy_(torch.as_tensor(self._statistics.mean))
        self.std.copy_(torch.as_tensor(np.sqrt(self._statistics.var + _EPSILON)))


class Normalized(nn.Module):
    """A network, actor or critic, that is given normalized observations."""

    def __init__(self, normalization: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.normalization = normalization
        self.network = network

    def forward(self, observations: Tensor, *actions: Tensor) -> Tensor:
        """Map observations `(B, obs)`, and for a critic actions `(B, act)`, to what the network returns."""
        output: Tensor = self.network(self.normalization(observations), *actions)
        return output


class Pixels(nn.Module):
    """Map the bytes of images, 0 to 255, to 0 to 1."""

    def forward(self, observations: Tensor) -> Tensor:
        """Divide observations `(B, obs)` by 255."""
        return observations / 255


class RewardScale:
    """Running standard deviation of the discounted sum of past rewards, `x ← γ x + r`, by which rewards are divided.

    Source: Engstrom et al., 2020, arXiv:2005.12729, section 3, and gymnasium's `NormalizeReward`.

    Args:
        discount: γ.
        num_envs: number of environments, each with a sum of its own.
    """

    def __init__(self, discount: float, num_envs: int) -> None:
        self._discount = discount
        self._sums = np.zeros(num_envs)
        self._statistics = RunningMeanStd()  # type: ignore[no-untyped-call]

    @property
    def value(self) -> float:
        """The standard deviation."""
        return float(np.sqrt(self._statistics.var + _EPSILON))

    def update(self, rewards: np.ndarray, ended: np.ndarray) -> None:
        """Take the rewards of a step into the statistics, `(num_envs,)`; where an episode has ended, begin anew."""
        self._sums = self._discount * self._sums + rewards
        self._statistics.update(self._sums)  # type: ignore[no-untyped-call]
        self.reset(ended)

    def reset(self, ended: np.ndarray | bool = True) -> None:
        """Begin the sums anew where an episode has ended."""
        self._sums[ended] = 0

    def state_dict(self) -> dict[str, Any]:
        """Return sums and statistics."""
        return {"sums": self._sums, "statistics": _numbers(self._statistics)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore them."""
        self._sums[:] = state["sums"]
        _restore(self._statistics, state["statistics"])


def _numbers(statistics: RunningMeanStd) -> dict[str, Any]:
    return {name: getattr(statistics, name) for name in ("mean", "var", "count")}


def _restore(statistics: RunningMeanStd, numbers: Mapping[str, Any]) -> None:
    for name, former in _numbers(statistics).items():
        setattr(statistics, name, np.asarray(numbers[name], np.float64).reshape(np.shape(former)))
