"""Transitions of several steps (Sutton & Barto, 2018, section 7.1)."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from ddpg.environments.collector import Transitions


class NStep:
    """Joins consecutive transitions of each environment to transitions of n steps.

    Such a transition has the observation and the action of its first step, the discounted sum of its rewards,
    `R = r₀ + γ r₁ + … + γⁿ⁻¹ rₙ₋₁`, and the next observation of its last step, so that the TD target is
    `R + γⁿ (1 − terminated) Q'(s', a')`. At the end of an episode those that are still open get fewer steps.

    The agent multiplies by `γ (1 − terminations)`; so that this is `γⁿ (1 − terminated)`, the column `terminations`
    holds `1 − γⁿ⁻¹ (1 − terminated)`.

    Args:
        steps: n.
        discount: γ.
        num_envs: number of environments.
    """

    def __init__(self, steps: int, discount: float, num_envs: int) -> None:
        self._steps = steps
        self._discount = discount
        self._windows: list[deque[Transitions]] = [deque() for _ in range(num_envs)]

    def __call__(self, transitions: Transitions) -> Transitions:
        """Return the transitions of up to n steps, maybe none, that these of one step complete."""
        if self._steps == 1:
            return transitions
        complete = []
        for row in map(Transitions._make, zip(*transitions, strict=True)):
            window = self._windows[row.environments]
            window.append(row)
            while window and (len(window) == self._steps or row.terminations or row.truncations):
                complete.append(self._joined(window))
        columns = zip(*complete, strict=True) if complete else (column[:0] for column in transitions)
        return Transitions(*map(np.array, columns))

    def close(self) -> Transitions | None:
        """Return what is open, as at a truncation; None if nothing is."""
        complete = [self._joined(window) for window in self._windows for _ in range(len(window))]
        return Transitions(*map(np.array, zip(*complete, strict=True))) if complete else None

    def _joined(self, window: deque[Transitions]) -> Transitions:
        """Take the window's first transition away, and return what the window makes of it."""
        last = window[-1]
        weights = self._discount ** np.arange(len(window))
        rewards = weights @ [row.rewards for row in window]
        first = window.popleft()
        return last._replace(
            observations=first.observations,
            actions=first.actions,
            rewards=rewards,
            terminations=1 - weights[-1] * (1 - last.terminations),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the transitions that are not complete."""
        rows = [row for window in self._windows for row in window]
        return {"rows": list(map(np.array, zip(*rows, strict=True)))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore them."""
        for row in map(Transitions._make, zip(*map(np.asarray, state["rows"]), strict=True)):
            self._windows[row.environments].append(row)
