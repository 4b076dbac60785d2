"""gymnasium in, transitions out."""

import difflib
import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from ddpg.errors import InputError, require
from ddpg.spaces import check_spaces


def make_environment(env_id: str, kwargs: Mapping[str, Any], render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    """One environment of the registry, with spaces that DDPG takes.

    Args:
        env_id: as in `gymnasium.make`; `module:Name-v0` imports the module first.
        kwargs: keyword arguments of `gymnasium.make`, those of the environment included.
        render_mode: "human" opens a window.

    Raises:
        InputError: if it is not registered, cannot be made, or has other spaces.
    """
    check_registered(env_id)
    try:
        shown: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
        environment = gymnasium.make(env_id, disable_env_checker=True, **shown, **kwargs)
    except gymnasium.error.DependencyNotInstalled as error:
        raise InputError(
            f"env.id={env_id}: a package that it needs is missing ({error}); pip install -e '.[mujoco,box2d]' "
            "brings those of MuJoCo and Box2D."
        ) from error
    except Exception as error:  # whatever a stranger's constructor may raise
        arguments = f" with env.kwargs={dict(kwargs)}" if kwargs else ""
        raise InputError(f"env.id={env_id}: cannot be made{arguments}: {error}") from error
    try:
        check_spaces(environment.observation_space, environment.action_space)
    except InputError as error:
        environment.close()
        raise InputError(f"env.id={env_id}: {error}") from None
    return environment


def check_registered(env_id: str) -> None:
    """Raise `InputError` with the nearest name if gymnasium does not know the environment; makes none."""
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        gymnasium.spec(name)
    except ImportError as error:
        raise InputError(
            f"env.id={env_id}: the module {module} cannot be imported ({error}); mind PYTHONPATH."
        ) from error
    except gymnasium.error.Error as error:
        near = difflib.get_close_matches(name, gymnasium.registry, n=1, cutoff=0.4)
        mend = f"did you mean {near[0]}?" if near else "gymnasium.pprint_registry() lists those that there are."
        raise InputError(f"env.id={env_id}: no such environment is registered; {mend}") from error


class SeededEpisodes(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Seeds every reset, automatic ones included, by run seed, environment index and episode number.

    An episode is then a function of these three and its actions, so that one which was broken off can be taken up
    again: `reset(options={"resume": [...]})`, with the `progress` of each environment of the vector, resets to that
    episode and repeats its actions.

    Args:
        environment: of any kind.
        seed: of the run.
        index: the environment's place in the vector.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any], seed: int, index: int) -> None:
        super().__init__(environment)
        self._seed = seed
        self._index = index
        self._episode = -1
        self._actions: list[Any] = []

    @property
    def progress(self) -> dict[str, Any]:
        """The episode's number, and its actions so far."""
        return {"episode": self._episode, "actions": list(self._actions)}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        following: dict[str, Any] = {"episode": self._episode + 1, "actions": []}
        resume = (options or {}).get("resume")
        progress = resume[self._index] if resume else following
        self._episode, self._actions = progress["episode"], []
        sequence = np.random.SeedSequence([self._seed, self._index, self._episode])
        observation, info = self.env.reset(seed=int(sequence.generate_state(1)[0]))
        for action in progress["actions"]:
            observation, _, _, _, info = self.step(action)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self._actions.append(np.array(action))
        observation, reward, terminated, truncated, info = self.env.step(np.array(action))  # may change it in place
        # A copy, since an automatic reset may write the next episode's first observation into the same array.
        return np.array(observation), reward, terminated, truncated, info


def make_vector(
    env_id: str, kwargs: Mapping[str, Any], num_envs: int, seed: int, asynchronous: bool = False
) -> VectorEnv[Any, Any, Any]:
    """`num_envs` environments with seeded episodes, in this process or, asynchronous, in one process each."""

    def maker(index: int) -> Callable[[], gymnasium.Env[Any, Any]]:
        return lambda: SeededEpisodes(make_environment(env_id, kwargs), seed, index)

    makers = [maker(index) for index in range(num_envs)]
    vector = AsyncVectorEnv if asynchronous else SyncVectorEnv
    return vector(makers, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)  # the collector copies


class Transitions(NamedTuple):
    """What the environments that acted have seen in one step, one row each; arrays in the environment's units."""

    environments: np.ndarray
    """`(n,)`: which environments these are"""
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    """the true last observation where the episode ended"""
    terminations: np.ndarray
    truncations: np.ndarray


class Collector:
    """Steps a vector environment of any autoreset mode and hands out its transitions.

    No transition joins two episodes, none is lost and none invented:

    - SAME_STEP resets within the step that ends an episode; the true last observation is in `info["final_obs"]`.
    - NEXT_STEP spends the following step on the reset; that step ignores the action and is no transition.
    - DISABLED leaves the reset to the caller.

    Source: https://farama.org/Vector-Autoreset-Mode

    Args:
        vector: a vector environment, of gymnasium's or of others.

    Raises:
        InputError: if the vector environment does not say which autoreset mode it has.
    """

    def __init__(self, vector: VectorEnv[Any, Any, Any]) -> None:
        mode = vector.metadata.get("autoreset_mode")
        require(
            isinstance(mode, AutoresetMode),
            f"vector environment with autoreset_mode {mode!r}: name one of gymnasium.vector.AutoresetMode in its "
            "metadata.",
        )
        self.vector = vector
        self.num_envs = vector.num_envs
        self._mode = mode
        self.observations: np.ndarray = np.array(vector.reset()[0])
        self._resetting = np.zeros(vector.num_envs, dtype=bool)
        self._all = np.arange(vector.num_envs)

    def step(self, actions: np.ndarray) -> Transitions:
        """Act in every environment `(num_envs, …)`; the transitions of those that were not busy with a reset.

        `observations` then holds what to act on next.
        """
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
        transitions = Transitions(self._all, observations, actions, rewards, last, terminations, truncations)
        if self._mode is AutoresetMode.NEXT_STEP:
            acted, self._resetting = ~self._resetting, ended
            return Transitions(*(column[acted] for column in transitions))
        return transitions

    def state_dict(self) -> dict[str, Any]:
        """Where each environment stands. Only for the vectors of `make_vector`."""
        assert isinstance(self.vector, SyncVectorEnv | AsyncVectorEnv)
        progress = [
            {"episode": each["episode"], "actions": [action.tolist() for action in each["actions"]]}
            for each in self.vector.get_attr("progress")
        ]
        return {"progress": progress, "observations": self.observations.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the broken-off episodes up again by repeating their actions; warns if the environment differs."""
        dtype = self.vector.single_action_space.dtype
        require(len(state["progress"]) == self.num_envs, f"the state is not of {self.num_envs} environments.")
        resume = [
            {"episode": each["episode"], "actions": [np.asarray(action, dtype) for action in each["actions"]]}
            for each in state["progress"]
        ]
        self.observations = np.array(self.vector.reset(options={"resume": resume})[0])
        if not np.array_equal(self.observations, np.asarray(state["observations"], self.observations.dtype)):
            warnings.warn(
                "the environment does not repeat an episode from its seed and actions: the resumed run goes on from a "
                "different state than the one it was broken off in",
                stacklevel=2,
            )
