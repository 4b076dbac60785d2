"""Hold environments to gymnasium's interface, and their episodes to what can be repeated."""

import numbers
import reprlib
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from ddpg.base.errors import FaultyEnvironmentError, Note, blamed, traced
from ddpg.environments.repetition import OUTSIDE, GlobalRandomness, Statistics, freeze, restore, statistics

_GREATEST = float(np.finfo(np.float32).max)  # the replay buffer keeps float32


def episode_seed(seed: int, index: int, episode: int) -> int:
    """Return the seed of an episode's reset, of run seed, index of the environment and number of the episode."""
    return int(np.random.SeedSequence([seed, index, episode]).generate_state(1)[0])


class CheckedEnvironment(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Checks what an environment returns, and gives it streams of `random` and `np.random` of its own.

    The streams begin anew with each seed. `info` is dropped: nothing uses it, and a vector environment would mix it
    with its own.

    Args:
        environment: with a Box of observations.

    Raises:
        FaultyEnvironmentError: by `step` and `reset`, if the environment raises, or returns something else than
            gymnasium asks for, or a number that is not finite in float32.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any]) -> None:
        super().__init__(environment)
        assert isinstance(environment.observation_space, Box)
        self._space = environment.observation_space
        self._name = environment.spec.id if environment.spec else type(environment.unwrapped).__name__
        self._seed: int | None = None
        self._step = 0
        self._randomness = GlobalRandomness()
        self._frozen: Statistics | None = None
        self._switched_off: list[Any] = []

    @property
    def statistics(self) -> Statistics:
        """Running statistics of the wrappers below."""
        return statistics(self.env)

    @statistics.setter
    def statistics(self, kept: Statistics) -> None:
        restore(self.env, kept)

    def freeze(self, kept: Statistics) -> None:
        """Begin every episode from now on with these statistics, and stop updating them where wrappers can."""
        self._switched_off += freeze(self.env)
        self._frozen = kept

    def thaw(self) -> None:
        """Put the statistics that were frozen back, and go on updating them."""
        if self._frozen is not None:
            self.statistics, self._frozen = self._frozen, None
        while self._switched_off:
            self._switched_off.pop().update_running_mean = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._seed, self._step = seed, 0
        if self._frozen is not None:
            self.statistics = self._frozen
        if seed is not None:
            self._randomness.seed(seed)
        names = ("observation", "info")
        observation, info = self._ask(lambda: self.env.reset(seed=seed, options=options), names)
        observation = self._checked(observation, info)
        if bad := _nonfinite(observation):
            raise self._fault(f"{bad} in the first observation of an episode")
        return observation, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self._step += 1
        names = ("observation", "reward", "terminated", "truncated", "info")
        observation, reward, terminated, truncated, info = self._ask(lambda: self.env.step(action), names)
        observation = self._checked(observation, info)
        if not isinstance(reward, numbers.Real):
            raise self._fault(f"reward={_described(reward)}; it must be one real number")
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, bool | np.bool_):
                raise self._fault(f"{name}={_described(flag)}; it must be True or False")
        if bad := _nonfinite(observation):
            raise self._fault(bad)
        if not abs(float(reward)) <= _GREATEST:  # nor where it is NaN
            raise self._fault(f"reward={float(reward)}")
        return observation, float(reward), bool(terminated), bool(truncated), {}

    def _ask(self, call: Callable[[], Any], names: tuple[str, ...]) -> tuple[Any, ...]:
        self._randomness.enter()
        try:
            answer = call()
        except (Exception, SystemExit) as error:  # whatever a stranger's environment may raise
            form = " A step returns observation, reward, terminated, truncated, info."
            fault = self._fault(f"{blamed(error)} was raised", form if "to unpack" in str(error) else "")
            fault.details = traced(error)
            raise fault from error
        if not isinstance(answer, tuple) or len(answer) != len(names):
            found = f"{len(answer)} values" if isinstance(answer, tuple) else _kind(answer)
            raise self._fault(f"{found} returned; gymnasium asks for a tuple of {', '.join(names)}")
        return answer

    def _checked(self, observation: Any, info: Any) -> np.ndarray:
        if not isinstance(info, dict):
            raise self._fault(f"info={_described(info)}; it must be a dict")
        try:
            array = np.asarray(observation)
        except Exception as error:  # rows of unequal length, a tensor that requires a gradient
            raise self._fault(f"observation={_shown(observation)} is no array ({type(error).__name__})") from None
        shape, dtype = self._space.shape, self._space.dtype
        if array.shape != shape:
            raise self._fault(f"observation of shape {array.shape}; its observation space says {shape}")
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise self._fault(f"observation of type {array.dtype}; its observation space says {dtype}")
        return array

    def close(self) -> None:
        try:
            super().close()
        except Exception as error:  # whatever a stranger's environment may raise; all is done by now
            warnings.warn(f"{self._name}: cannot be closed: {blamed(error)}.", Note, stacklevel=2)
        OUTSIDE.enter()

    def _fault(self, what: str, mend: str = "") -> FaultyEnvironmentError:
        place = f"in reset(seed={self._seed})."
        if self._step:
            place = f"in step {self._step} after reset(seed={self._seed}), which repeats it with the same actions."
        return FaultyEnvironmentError(f"{self._name}: {what}, {place}{mend}")


class SeededEpisodes(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Seeds every reset, automatic ones included, by run seed, environment index and episode number.

    An episode is then a function of these three and its actions, so that one which was broken off can be taken up
    again: `reset(options={"resume": [...]})`, with the `progress` of each environment of the vector, resets to that
    episode and repeats its actions.

    Args:
        environment: held to gymnasium's interface.
        seed: of the run.
        index: the environment's place in the vector.
    """

    def __init__(self, environment: CheckedEnvironment, seed: int, index: int) -> None:
        super().__init__(environment)
        self._checked = environment
        self._seed = seed
        self._index = index
        self._episode = -1
        self._actions: list[np.ndarray] = []
        self._return = 0.0
        self._statistics = environment.statistics

    @property
    def progress(self) -> dict[str, Any]:
        """The episode's number, actions so far `(steps, …)` and return so far, and the `statistics` before it."""
        space = self.action_space
        return {
            "episode": self._episode,
            "actions": np.array(self._actions, space.dtype).reshape(-1, *(space.shape or ())),
            "return": self._return,
            "statistics": self._statistics,
        }

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._episode, self._actions, self._return = self._episode + 1, [], 0.0
        repeated: list[np.ndarray] = []
        if resume := (options or {}).get("resume"):
            progress = resume[self._index]
            self._episode, repeated = progress["episode"], progress["actions"]
            self._checked.statistics = progress["statistics"]
        self._statistics = self._checked.statistics
        observation, info = self.env.reset(seed=episode_seed(self._seed, self._index, self._episode))
        for action in repeated:
            observation, _, terminated, truncated, info = self.step(action)
            if terminated or truncated:  # as it did not before: the environment does not repeat itself
                return self.reset()
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self._actions.append(np.array(action))
        observation, reward, terminated, truncated, info = self.env.step(np.array(action))  # may change it in place
        self._return += float(reward)
        # A copy, since an automatic reset may write the next episode's first observation into the same array.
        return np.array(observation), reward, terminated, truncated, info


def _nonfinite(observation: np.ndarray) -> str:
    """Name the first number that is not finite in float32, with its place; an empty string if there is none."""
    if observation.dtype.kind != "f":
        return ""
    with np.errstate(over="ignore"):
        observation = observation.astype(np.float32, copy=False)
    finite = np.isfinite(observation)
    if finite.all():
        return ""
    place = tuple(map(int, np.argwhere(~finite)[0]))
    return f"observation{''.join(f'[{each}]' for each in place)}={float(observation[place])}"


def _described(value: Any) -> str:
    return f"{_shown(value)} ({_kind(value)})"


def _kind(value: Any) -> str:
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _shown(value: Any) -> str:
    return " ".join(reprlib.repr(value).split())
