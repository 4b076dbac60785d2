"""Environments that misbehave end a run, or are noted, in a sentence that says what they did and how to repeat it."""

import itertools
import multiprocessing
import os
import signal
import sys
import time
from contextlib import closing

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from small_runs import run, small

from ddpg import InputError
from ddpg.base.errors import FaultyEnvironmentError, Note
from ddpg.saving import checkpoint
from ddpg.training.loop import Training


class Point(gymnasium.Env):
    """A point that the action pushes. `reset` and `step` replace answers in its second episode: at once, in step 15."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float64)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, step=lambda answer: answer, reset=lambda answer: answer, action_space=action_space):
        self.misbehave, self.misbehave_at_reset, self.lived = step, reset, 0
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        self.state = self.np_random.uniform(-1, 1, 3)
        answer = (self.state.copy(), {})
        return self.misbehave_at_reset(answer) if self.lived == 30 else answer

    def step(self, action):
        self.time += 1
        self.lived += 1
        self.state = 0.9 * self.state + 0.1 * action
        answer = (self.state.copy(), -float(np.abs(self.state).sum()), False, self.time == 30, {})
        return self.misbehave(answer) if self.lived == 45 else answer


class RaisesWhenClosed(Point):
    def close(self):
        raise RuntimeError("closed already")


class IgnoresItsSeed(Point):
    def reset(self, **arguments):
        return super().reset(seed=time.monotonic_ns() % 2**32)


class RemembersEpisodes(Point):
    """Its rewards depend on how many episodes came before, which no seed knows."""

    episodes = 0

    def reset(self, **arguments):
        self.episodes += 1
        return super().reset(**arguments)

    def step(self, action):
        observation, reward, *others = super().step(action)
        return observation, reward - self.episodes, *others


def sleep_for_ever(answer):
    while True:
        time.sleep(0.01)


def with_one(place, value):
    """What replaces one value of an answer."""
    return lambda answer: (*answer[:place], value, *answer[place + 1 :])


NAN = np.array([0, np.nan, 0])
EPISODE_1 = r"in its episode 1, that of reset\(seed=3831201730\)"
# What a method returns in place of its answer, or does, and what is said of it.
STEPS = [
    (lambda answer: 1 // 0, r"ZeroDivisionError \(.* by zero\) at .*\.py:\d+ was raised"),
    (lambda answer: sys.exit(3), r"SystemExit \(3\) at .*\.py:\d+ was raised"),
    (with_one(0, np.zeros(2)), r"observation of shape \(2,\); its observation space says \(3,\)"),
    (with_one(0, np.zeros(3, complex)), "observation of type complex128; its observation space says float64"),
    (with_one(0, None), r"observation of shape \(\); its observation space says \(3,\)"),
    (with_one(0, NAN), r"observation\[1\]=nan"),
    (with_one(0, np.full(3, 1e300)), r"observation\[0\]=inf"),  # in float32
    (with_one(1, -np.inf), "reward=-inf"),
    (with_one(1, None), r"reward=None \(a NoneType\); it must be one real number"),
    (with_one(1, np.ones(1)), r"reward=array\(\[1\.\]\) \(an array of shape \(1,\)\); it must be one real number"),
    (with_one(2, "no"), r"terminated='no' \(a str\); it must be True or False"),
    (with_one(4, None), r"info=None \(a NoneType\); it must be a dict"),
    (lambda answer: (*answer[:3], {}), r"ValueError \(.* \(expected 5, got 4\)\) was raised"),  # as gym before 2022
]
RESETS = [
    (lambda answer: {}["robot"], r"KeyError \('robot'\) at .* was raised"),
    (lambda answer: (np.zeros(6), {}), r"observation of shape \(6,\); its observation space says \(3,\)"),
    (lambda answer: (NAN, {}), r"observation\[1\]=nan in the first observation of an episode"),
    (lambda answer: answer[0], r"an array of shape \(3,\) returned; gymnasium asks for a tuple of observation, info"),
]
PROCESSES = [
    (sleep_for_ever, rf"did not answer within 0\.5 seconds {EPISODE_1}\. env\.timeout=… allows more\."),
    (lambda answer: sum(itertools.repeat(0)), rf"did not answer within 0\.5 seconds {EPISODE_1}"),
    (lambda answer: os._exit(7), rf"the process of environment 0 died \(exit code 7\) {EPISODE_1}"),
    (lambda answer: os.kill(os.getpid(), signal.SIGKILL), rf"environment 0 died \(SIGKILL\) {EPISODE_1}"),
]
APART = {"asynchronous": True, "timeout": 0.5}


@pytest.fixture
def settings():
    def register(entry_point, **env):
        gymnasium.register("Bad-v0", entry_point, max_episode_steps=1000)
        env = {"id": "Bad-v0", "num_envs": 1, "asynchronous": False, "timeout": None, "kwargs": {}, **env}
        return small(env=env, learning_starts=40, total_steps=100, checkpoint={"interval": 20, "keep": 2})

    yield register
    del gymnasium.registry["Bad-v0"]


def check_that_it_is_said(folder, settings, sentence):
    """The run ends with the sentence, soon, and without leaving a process behind."""
    started = time.monotonic()
    training = Training(settings, folder)
    with pytest.raises(FaultyEnvironmentError, match=sentence) as fault, closing(training):
        training.train()
    assert "\n" not in str(fault.value)
    assert time.monotonic() - started < 60
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("step", "sentence"), STEPS)
def test_a_step_that_misbehaves_is_said(tmp_path, settings, step, sentence):
    where = r"in step 15 after reset\(seed=3831201730\), which repeats it with the same actions\."
    mend = " A step returns observation, reward, terminated, truncated, info." * ("got 4" in sentence)
    check_that_it_is_said(tmp_path, settings(lambda: Point(step)), rf"^Bad-v0: {sentence}, {where}{mend}$")


@pytest.mark.parametrize(("reset", "sentence"), RESETS)
def test_a_reset_that_misbehaves_is_said(tmp_path, settings, reset, sentence):
    where = r"in reset\(seed=3831201730\)\."
    check_that_it_is_said(tmp_path, settings(lambda: Point(reset=reset)), rf"^Bad-v0: {sentence}, {where}$")


@pytest.mark.parametrize(("step", "sentence"), PROCESSES)
def test_what_happens_to_an_environments_process_is_said(tmp_path, settings, step, sentence):
    check_that_it_is_said(tmp_path, settings(lambda: Point(step), **APART), sentence)


def test_a_reset_that_hangs_is_said(tmp_path, settings):
    chosen = settings(lambda: Point(reset=sleep_for_ever), **APART)
    check_that_it_is_said(tmp_path, chosen, r"environment 0 did not answer within 0\.5 seconds in its episode 0")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: {}["robot"], r"Bad-v0: cannot be made: KeyError \('robot'\) at .*\.py:\d+\."),
        (lambda: Point(action_space=Discrete(2)), "DDPG takes only a Box as action space"),
        (lambda: Point(action_space=Box(-np.inf, np.inf, (1,))), "is unbounded"),
    ],
)
def test_what_cannot_be_trained_at_all_is_refused(tmp_path, settings, make, sentence):
    with pytest.raises(InputError, match=sentence):
        Training(settings(make), tmp_path)


def test_what_raises_when_it_is_closed_is_noted_and_ends_nothing(tmp_path, settings):
    with pytest.warns(Note, match=r"cannot be closed: RuntimeError \(closed already\)"):
        run(tmp_path, settings(RaisesWhenClosed))
    assert (tmp_path / "result.json").exists()


@pytest.mark.parametrize("make", [IgnoresItsSeed, RemembersEpisodes])
def test_what_does_not_repeat_itself_is_noted_at_the_start_and_when_the_run_goes_on(tmp_path, settings, make):
    chosen, said = settings(make), "does not repeat an episode from the same seed and actions"
    with pytest.warns(Note, match=said):
        run(tmp_path, chosen)
    content = checkpoint.load(tmp_path)
    with pytest.warns(Note, match=said), pytest.warns(Note, match="from here on observations and rewards"):
        resumed, _ = run(tmp_path, chosen.model_copy(update={"total_steps": 150}), content)
    assert resumed.step == 150
