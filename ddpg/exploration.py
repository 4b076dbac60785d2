"""Exploration noise, added to the actor's action.

Noise is in units of half the action range, so that one value suits environments of any bounds.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ddpg.base.choice import Choice
from ddpg.base.errors import real, require


@dataclass
class Exploration(Choice, kind="exploration"):
    """Base of the noises."""

    def sample(self, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        """Noise `(environments, act)`, in units of half the action range."""
        raise NotImplementedError

    def reset(self, ended: np.ndarray | bool = True) -> None:
        """Start afresh where an episode has ended: in all environments, or in those marked, `(environments,)`."""

    def state_dict(self) -> dict[str, Any]:
        """What the next sample depends on beside the generator."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""


@dataclass
class GaussianNoise(Exploration, name="gaussian"):
    """Independent normal noise.

    Args:
        sigma: standard deviation.
    """

    sigma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        real("exploration.sigma", self.sigma, least=0)

    def sample(self, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        return self.sigma * generator.standard_normal(shape)


@dataclass
class OrnsteinUhlenbeckNoise(Exploration, name="ornstein_uhlenbeck"):
    """Noise correlated in time (Uhlenbeck & Ornstein, 1930; Lillicrap et al., 2015, section 7).

    `x ← x − θ x dt + σ √dt ε` with `ε ~ N(0, 1)`: one process for each environment, at 0 when an episode starts.
    In the long run its mean is 0, its variance `σ² dt / (1 − (1 − θ dt)²)`, its autocorrelation after k steps
    `(1 − θ dt)^k`.

    Args:
        theta: rate of return to 0, per unit of time.
        sigma: diffusion, per square root of a unit of time.
        dt: the time that one environment step takes.
    """

    theta: float = 0.15
    sigma: float = 0.2
    dt: float = 1.0
    _x: np.ndarray = field(init=False, repr=False, default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("theta", "sigma", "dt"):
            real(f"exploration.{name}", getattr(self, name), least=0)
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
