"""Step a vector environment and return its transitions."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from ddpg.base.errors import Note, require, whole
from ddpg.environments.episodes import CheckedEnvironment
from ddpg.environments.repetition import Statistics, merged


class Transitions(NamedTuple):
    """Transitions of one step, a row for each environment that acted, in the environment's units."""

    environments: np.ndarray
    """`(n,)`: indices of the environments"""
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    """where an episode ended, its true last observation"""
    terminations: np.ndarray
    truncations: np.ndarray


class Collector:
    """Steps a vector environment of any autoreset mode and returns its transitions.

    No transition joins two episodes, none is lost and none invented:

    - SAME_STEP resets within the step that ends an episode; the true last observation is in `info["final_obs"]`.
    - NEXT_STEP spends the following step on the reset; that step ignores the action and is no transition.
    - DISABLED leaves the reset to the caller.

    Source: https://farama.org/Vector-Autoreset-Mode

    Args:
        vector: a vector environment, gymnasium's or another.
        seed: of its first reset; the environments of `make_vector` seed themselves.

    Raises:
        InputError: if the vector environment does not say which autoreset mode it has.
        FaultyEnvironmentError: by all methods, if an environment breaks gymnasium's interface or its process died.
    """

    def __init__(self, vector: VectorEnv[Any, Any, Any], seed: int | None = None) -> None:
        mode = vector.metadata.get("autoreset_mode")
        require(
            isinstance(mode, AutoresetMode),
            f"vector environment with autoreset_mode {mode!r}: name one of gymnasium.vector.AutoresetMode in its "
            "metadata.",
        )
        self.vector = vector
        self.num_envs = vector.num_envs
        self.observations: np.ndarray = np.array(vector.reset(seed=seed)[0])
        """`(num_envs, …)`: what to act on next"""
        self._mode = mode
        self._resetting = np.zeros(vector.num_envs, dtype=bool)

    def step(self, actions: np.ndarray) -> Transitions:
        """Act in every environment, `(num_envs, …)`; return the transitions of those that were not resetting."""
        observations = self.observations
        following, rewards, terminations, truncations, info = self.vector.step(actions)
        ended = terminations | truncations
        self.observations = last = np.array(following)  # a vector may write its next ones into the same array
        if ended.any() and self._mode is AutoresetMode.SAME_STEP:
            last = last.copy()
            for index in np.flatnonzero(ended):
                last[index] = info["final_obs"][index]
        elif ended.any() and self._mode is AutoresetMode.DISABLED:
            self.observations = np.array(self.vector.reset(options={"reset_mask": ended})[0])
        indices = np.arange(self.num_envs)
        transitions = Transitions(indices, observations, actions, rewards, last, terminations, truncations)
        if self._mode is AutoresetMode.NEXT_STEP:
            acted, self._resetting = ~self._resetting, ended
            transitions = Transitions(*(column[acted] for column in transitions))
        return transitions

    def restart(self) -> None:
        """Leave the episodes under way and begin the next ones."""
        self.observations = np.array(self.vector.reset()[0])

    @property
    def single(self) -> CheckedEnvironment:
        """The one environment of a vector of `make_vector`, to be used between two episodes: see `restart`."""
        assert isinstance(self.vector, SyncVectorEnv) and self.num_envs == 1
        environment = self.vector.envs[0].env  # type: ignore[attr-defined]
        assert isinstance(environment, CheckedEnvironment)
        return environment

    def close(self) -> None:
        """Close the environments."""
        self.vector.close()

    @property
    def statistics(self) -> Statistics:
        """Running statistics of the wrappers, as if one environment had seen all; of `make_vector`'s vectors only."""
        return merged(self._of_each("statistics"))

    def _of_each(self, attribute: str) -> Sequence[Any]:
        assert isinstance(self.vector, SyncVectorEnv | AsyncVectorEnv)
        return self.vector.get_attr(attribute)

    def state_dict(self) -> dict[str, Any]:
        """Return where each environment stands; of `make_vector`'s vectors only."""
        return {"progress": list(self._of_each("progress")), "observations": self.observations}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Repeat the unfinished episodes' actions; warn if they do not come out as they were."""
        space = self.vector.single_action_space
        require(len(state["progress"]) == self.num_envs, f"the state is not of {self.num_envs} environments.")
        progress = []
        for each in state["progress"]:
            actions = np.asarray(each["actions"], space.dtype)
            require(actions.shape[1:] == space.shape, f"actions that are not of shape {space.shape}.")
            progress.append({**each, "episode": whole("episode", each["episode"], least=0), "actions": actions})
        self.observations = np.array(self.vector.reset(options={"resume": progress})[0])
        same = np.array_equal(self.observations, np.asarray(state["observations"]))
        if not same or any(
            now["return"] != then["return"] for now, then in zip(self._of_each("progress"), progress, strict=True)
        ):
            warnings.warn(
                "The environment does not repeat an episode from its seed and actions: from here on observations and "
                "rewards, and so the run, differ from one that was never broken off. Weights, replay buffer and random "
                "generators are as they were.",
                Note,
                stacklevel=2,
            )
