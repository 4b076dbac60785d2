"""Environments as people write them, for tests: `own_environments:Dice-v0`."""

import os
import random

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers.utils import RunningMeanStd

WORLD = np.random.uniform()  # as the module is loaded


class Walk(gymnasium.Env):
    """A point that is pushed about, and paid for staying near 0."""

    observation_space = Box(-5, 5, (1,), np.float32)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def noise(self):
        return self.np_random.normal()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = np.full(1, self.noise(), np.float32)
        return self.x, self.info()

    def step(self, action):
        self.x = np.clip(self.x + 0.1 * action + 0.05 * self.noise(), -5, 5).astype(np.float32)
        return self.x, -float(abs(self.x[0])), False, False, self.info()

    def info(self):
        return {}


class Alone(Walk):
    """A robot, of which there is one."""

    there = 0

    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        if Alone.there:
            raise RuntimeError("it is taken")
        Alone.there += 1

    def close(self):
        Alone.there -= 1


class OneWorld(Walk):
    """A point in a world that all environments of the process share, as in some simulators."""

    world = np.zeros(1, np.float32)

    @property
    def x(self):
        return OneWorld.world

    @x.setter
    def x(self, x):
        OneWorld.world = x


class Goal(Walk):
    """Observes a dictionary."""

    observation_space = Dict(place=Walk.observation_space, goal=Tuple([Box(-1, 1, (2, 1)), Discrete(3)]))

    def seen(self, x):
        return {"place": x, "goal": (np.full((2, 1), 0.5, np.float32), 2)}

    def reset(self, **options):
        x, info = super().reset(**options)
        return self.seen(x), info

    def step(self, action):
        x, *others = super().step(action)
        return self.seen(x), *others


class Doubled(gymnasium.RewardWrapper):
    """Pays twice."""

    def reward(self, reward):
        return 2 * reward


def one_more(environment):
    return gymnasium.wrappers.TransformReward(environment, lambda reward: reward + 1)


def failing(environment):
    raise RuntimeError("no wrapper")


def nothing(environment):
    pass


class Dice(Walk):
    """Draws from the whole process's generators; a normal number of NumPy's leaves another in reserve."""

    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        self.drift = random.random() + np.random.uniform()

    def noise(self):
        return random.gauss(0, 1) + np.random.normal() + np.random.normal() * np.random.normal() + 0.1 * self.drift


class Remembers(Walk):
    """Every episode is a little harder than the one before."""

    episodes = 0

    def reset(self, *, seed=None, options=None):
        self.episodes += 1
        return super().reset(seed=seed)[0] + self.episodes / 100, {}


class Unseeded(Walk):
    """Has a generator that no seed reaches."""

    generator = np.random.default_rng()

    def noise(self):
        return self.generator.normal()


class Own(gymnasium.ObservationWrapper):
    """Moments under the names that everybody gives them, on the wrapper itself; no switch to freeze them."""

    def __init__(self, env):
        super().__init__(env)
        self.mean, self.var, self.count = np.zeros(1), np.ones(1), 1

    def observation(self, observation):
        self.count += 1
        self.mean = self.mean + (observation - self.mean) / self.count
        return (observation - self.mean).astype(np.float32)


class ScalesItself(Walk):
    """Has moments of its own, and numbers that come only as it runs."""

    last = None

    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        self.moments = RunningMeanStd()
        self.history = None

    def step(self, action):
        observation, reward, *others = super().step(action)
        self.history = np.append([] if self.history is None else self.history, reward)
        self.last = reward
        self.moments.update(np.array([reward]))
        return observation, reward / np.sqrt(self.moments.var + 1), *others


class Wanders(Walk):
    """Changes the working directory of the whole process."""

    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        os.chdir("/")


class Picture(gymnasium.ObservationWrapper):
    """Shows the point as a white column in noise."""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = Box(0, 255, (5, 7), np.uint8)

    def observation(self, observation):
        image = self.np_random.integers(0, 256, (5, 7), np.uint8)
        image[:, int(observation[0] + 5) * 6 // 10] = 255
        return image


def normalised(**kwargs):
    return NormalizeReward(NormalizeObservation(Walk(**kwargs)))


def centred(**kwargs):
    return Own(Walk(**kwargs))


def picture(**kwargs):
    return Picture(Walk(**kwargs))


for name, entry_point in {
    "Walk": Walk,
    "Dice": Dice,
    "Remembers": Remembers,
    "Unseeded": Unseeded,
    "Normalised": normalised,
    "Centred": centred,
    "Picture": picture,
    "ScalesItself": ScalesItself,
    "Wanders": Wanders,
    "Alone": Alone,
    "Goal": Goal,
    "OneWorld": OneWorld,
}.items():
    gymnasium.register(f"{name}-v0", entry_point=entry_point, max_episode_steps=20)
gymnasium.register("Endless-v0", entry_point=Walk)
