"""Exploration noise, added to the actor's action.

Noise is in units of half the action range, so that one value suits environments of any bounds.
"""

import copy
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field

from ddpg.base.choice import Choice
from ddpg.base.errors import require


@dataclass
class Exploration(Choice, kind="exploration"):
    """Base class of the noises."""

    def sample(self, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        """Return noise `(environments, act)`, in units of half the action range."""
        raise NotImplementedError

    def reset(self, ended: np.ndarray | bool = True) -> None:
        """Reset the noise state where an episode has ended: everywhere, or as marked in `ended`, `(environments,)`."""

    def copy(self) -> Self:
        """Return a noise with a state of its own."""
        return copy.deepcopy(self)

    def state_dict(self) -> dict[str, Any]:
        """Return the noise state, excluding the RNG."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the noise state."""


@dataclass
class GaussianNoise(Exploration, name="gaussian"):
    """Independent normal noise."""

    sigma: Annotated[float, Field(ge=0, description="noise, in units of half the action range")] = 0.1

    def sample(self, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        return self.sigma * generator.standard_normal(shape)


@dataclass
class OrnsteinUhlenbeckNoise(Exploration, name="ornstein_uhlenbeck"):
    """Noise correlated in time (Uhlenbeck & Ornstein, 1930; Lillicrap et al., 2015, section 7).

    `x ← x − θ x dt + σ √dt ε` with `ε ~ N(0, 1)`: one process for each environment, at 0 when an episode starts.
    In the long run its mean is 0, its variance `σ² dt / (1 − (1 − θ dt)²)`, its autocorrelation after k steps
    `(1 − θ dt)^k`.
    """

    theta: Annotated[float, Field(ge=0, description="rate of return to 0, per unit of time")] = 0.15
    sigma: Annotated[float, Field(ge=0, description="diffusion, per square root of a unit of time")] = 0.2
    dt: Annotated[float, Field(ge=0, description="time of one environment step")] = 1.0
    _x: np.ndarray = field(init=False, repr=False, default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.theta * self.dt < 2,
            f"exploration.theta={self.theta} with exploration.dt={self.dt}: theta · dt must be below 2, or the noise "
            "grows without bound; lower either.",
        )

    def sample(self, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        if self._x.shape != shape:
            self._x = np.zeros(shape)
        diffusion = self.sigma * math.sqrt(self.dt) * generator.standard_normal(shape)
        self._x = self._x - self.theta * self._x * self.dt + diffusion
        return self._x

    def reset(self, ended: np.ndarray | bool = True) -> None:
        marked = np.asarray(ended, dtype=bool)
        if marked.ndim == 0 or len(self._x) == len(marked):
            self._x = np.where(marked[..., None], 0.0, self._x)  # not in place: the last sample is the caller's

    def state_dict(self) -> dict[str, Any]:
        return {"x": self._x.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._x = np.asarray(state["x"], dtype=np.float64)
