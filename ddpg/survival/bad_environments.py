"""A gallery of environments that misbehave, each in one way; importing it registers them with gymnasium.

`python scripts/train.py env.id=ddpg.survival.bad_environments:<Name>-v0` shows what a person sees of one.
"""

import itertools
import os
import signal
import time
from contextlib import suppress
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

EPISODE = 30  # steps
FAULT = 45  # the step of its life at which an environment misbehaves


class WellBehaved(gymnasium.Env[np.ndarray, np.ndarray]):
    """A point that the action pushes; what the others have in common, and what the control is."""

    observation_space: Any = Box(-10, 10, (3,), np.float32)
    action_space: Any = Box(-1, 1, (1,), np.float32)

    def __init__(self) -> None:
        self.lived = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        self.state = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return self.state.copy(), {}

    def step(self, action: np.ndarray) -> Any:
        self.time += 1
        self.lived += 1
        self.state = (0.9 * self.state + 0.1 * action).astype(np.float32)
        answer: Any = (self.state.copy(), -float(np.abs(self.state).sum()), False, self.time == EPISODE, {})
        return self.misbehave(answer) if self.lived == FAULT else answer

    def misbehave(self, answer: Any) -> Any:
        """What is returned instead, once in its life."""
        return answer


class RaisesWhenMade(WellBehaved):
    def __init__(self) -> None:
        raise FileNotFoundError("assets/robot.xml")


class RaisesInReset(WellBehaved):
    def reset(self, **arguments: Any) -> Any:
        if self.lived >= EPISODE:
            raise RuntimeError("the simulator is gone")
        return super().reset(**arguments)


class RaisesInStep(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        raise ZeroDivisionError("division by zero")


class ExitsInStep(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        raise SystemExit(3)


class HangsInStep(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        while True:
            with suppress(Exception):  # of anything
                time.sleep(0.01)


class HangsInReset(WellBehaved):
    def reset(self, **arguments: Any) -> Any:
        while self.lived >= EPISODE:
            time.sleep(0.01)
        return super().reset(**arguments)


class HangsForGood(WellBehaved):
    """In code that never returns to Python, in a process of its own."""

    def misbehave(self, answer: Any) -> Any:
        sum(itertools.repeat(0))


class WrongShape(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        return (answer[0][:2], *answer[1:])


class WrongShapeAtReset(WellBehaved):
    def reset(self, **arguments: Any) -> Any:
        observation, info = super().reset(**arguments)
        return np.concatenate([observation, observation]), info


class WrongType(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        return (answer[0].astype(complex), *answer[1:])


class NoObservation(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        return (None, *answer[1:])


class NanObservation(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        answer[0][1] = np.nan
        return answer


class NanAtReset(WellBehaved):
    def reset(self, **arguments: Any) -> Any:
        observation, info = super().reset(**arguments)
        observation[2] = np.nan
        return observation, info


class TooLarge(WellBehaved):
    """Finite, but not in float32."""

    observation_space: Any = Box(-np.inf, np.inf, (3,), np.float64)

    def misbehave(self, answer: Any) -> Any:
        return (answer[0].astype(float) + 1e300, *answer[1:])


class InfiniteReward(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        return (answer[0], float("-inf"), *answer[2:])


class NoReward(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        return (answer[0], None, *answer[2:])


class RewardOfOneRow(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        return (answer[0], np.array([1.0]), *answer[2:])


class TerminatedByWord(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        return (answer[0], answer[1], "no", *answer[3:])


class FourValues(WellBehaved):
    """gym's interface of before 2022."""

    def step(self, action: np.ndarray) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, info


class BareReset(WellBehaved):
    """Likewise."""

    def reset(self, **arguments: Any) -> Any:
        return super().reset(**arguments)[0]


class NoInfo(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        return (*answer[:4], None)


class DiesInItsProcess(WellBehaved):
    def misbehave(self, answer: Any) -> Any:
        os._exit(7)


class KilledInItsProcess(WellBehaved):
    """As by a fault of memory, or by the system where memory runs out."""

    def misbehave(self, answer: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


class DiscreteActions(WellBehaved):
    action_space: Any = Discrete(2)


class UnboundedActions(WellBehaved):
    action_space: Any = Box(-np.inf, np.inf, (1,), np.float32)


class RaisesWhenClosed(WellBehaved):
    """Which ends nothing: all is done by then."""

    def close(self) -> None:
        raise RuntimeError("closed already")


class DoesNotRepeat(WellBehaved):
    """Leaves its seed aside."""

    def reset(self, **arguments: Any) -> Any:
        return super().reset(seed=time.monotonic_ns() % 2**32)


class RemembersEpisodes(WellBehaved):
    """Its rewards depend on how many episodes came before, which no seed knows."""

    episodes = 0

    def reset(self, **arguments: Any) -> Any:
        self.episodes += 1
        return super().reset(**arguments)

    def step(self, action: np.ndarray) -> Any:
        observation, reward, *others = super().step(action)
        return observation, reward - self.episodes, *others


GALLERY: dict[type[WellBehaved], tuple[str, ...]] = {
    RaisesWhenMade: (),
    RaisesInReset: (),
    RaisesInStep: (),
    ExitsInStep: (),
    HangsInStep: ("env.timeout=0.5", "env.asynchronous=true"),
    HangsInReset: ("env.timeout=0.5", "env.asynchronous=true"),
    HangsForGood: ("env.timeout=0.5", "env.asynchronous=true"),
    WrongShape: (),
    WrongShapeAtReset: (),
    WrongType: (),
    NoObservation: (),
    NanObservation: (),
    NanAtReset: (),
    TooLarge: (),
    InfiniteReward: (),
    NoReward: (),
    RewardOfOneRow: (),
    TerminatedByWord: (),
    FourValues: (),
    BareReset: (),
    NoInfo: (),
    DiesInItsProcess: ("env.asynchronous=true",),
    KilledInItsProcess: ("env.asynchronous=true", "env.num_envs=2"),
    DiscreteActions: (),
    UnboundedActions: (),
    RaisesWhenClosed: (),
    DoesNotRepeat: (),
    RemembersEpisodes: (),
}
"""Each with the overrides that it is shown with."""


def env_id(environment: type[WellBehaved]) -> str:
    """As in `env.id=…`."""
    return f"{__name__}:{environment.__name__}-v0"


_environment: Any
for _environment in (WellBehaved, *GALLERY):
    gymnasium.register(f"{_environment.__name__}-v0", _environment, max_episode_steps=1000)
