"""Promise 3, row by row against the truth, and promise 4, the seeds."""

import itertools

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from own_environments import Walk

from ddpg import InputError, ReplayBuffer
from ddpg.environments import CheckedEnvironment, Collector, make_vector
from ddpg.environments.episodes import SeededEpisodes

OBSERVATIONS = Box(-np.inf, np.inf, (4,))
ACTIONS = Box(-1, 1, (1,))

# For each environment the episodes in turn: how many steps, and whether they end by termination.
SCHEDULES = {
    "first step": [[(1, True), (4, False)], [(1, False), (3, True)]],
    "consecutive": [[(1, True), (1, False), (1, True), (5, False)], [(2, False), (1, False), (1, True), (3, True)]],
    "all at once": [[(3, True), (2, False)], [(3, False), (2, True)], [(3, True), (2, True)]],
    "at odds": [[(1, False), (7, True)], [(4, True), (2, False)], [(2, True), (1, True), (3, False)]],
    "one environment": [[(2, True), (1, False), (3, False)]],
}


class Diary(gymnasium.Env):
    """Observes (environment, episode, step, last action), writes every observation into the same array."""

    observation_space = OBSERVATIONS
    action_space = ACTIONS

    def __init__(self, index, schedule):
        self.index, self.schedule, self.episode = index, schedule, -1
        self.observation = np.zeros(4, np.float32)

    def observe(self, action):
        self.observation[:] = (self.index, self.episode, self.time, action)
        return self.observation

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.time = self.episode + 1, 0
        return self.observe(0), {}

    def step(self, action):
        self.time += 1
        length, terminates = self.schedule[self.episode % len(self.schedule)]
        ends = self.time == length
        observation = self.observe(action[0])
        action[:] = -9  # as strange as an environment may be
        return observation, self.reward(self.time), ends and terminates, ends and not terminates, {}

    def reward(self, time):
        return 100 * self.index + 10 * self.episode + time


def truth(index, schedule, steps, reset_takes_a_step):
    """The transitions of an environment in so many steps, worked out from its schedule alone (actions aside)."""
    lived = []
    episode = 0
    while len(lived) < steps:
        length, terminates = schedule[episode % len(schedule)]
        for time in range(1, length + 1):
            reward = 100 * index + 10 * episode + time
            lived.append(((index, episode, time - 1), reward, (index, episode, time), terminates and time == length))
        if reset_takes_a_step:
            lived.append(None)
        episode += 1
    return [each for each in lived[:steps] if each is not None]


EPISODES = st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(schedules=st.lists(EPISODES, min_size=1, max_size=4), mode=st.sampled_from(AutoresetMode), copy=st.booleans())
def test_the_buffer_holds_what_happened_however_episodes_end(schedules, mode, copy):
    check_what_the_buffer_holds(schedules, mode, SyncVectorEnv, copy)


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("schedules", SCHEDULES.values(), ids=SCHEDULES)
def test_the_buffer_holds_what_happened(schedules, mode, vector, copy):
    assert check_what_the_buffer_holds(schedules, mode, vector, copy) > 0


def check_what_the_buffer_holds(schedules, mode, vector, copy):
    """Row by row against the truth; how many episodes were cut off."""
    makers = [
        lambda index=index, schedule=schedule: SeededEpisodes(CheckedEnvironment(Diary(index, schedule)), 0, index)
        for index, schedule in enumerate(schedules)
    ]
    environments = vector(makers, autoreset_mode=mode, copy=copy)
    collector, generator = Collector(environments), np.random.default_rng(0)
    buffer = ReplayBuffer(1000, OBSERVATIONS, ACTIONS)
    truncated = 0
    for _ in range(40):
        actions = generator.uniform(-1, 1, (len(schedules), 1)).astype(np.float32)
        seen = collector.step(actions)
        np.testing.assert_array_equal(seen.environments, seen.observations[:, 0])
        buffer.add(seen.observations, seen.actions, seen.rewards, seen.next_observations, seen.terminations)
        truncated += seen.truncations.sum()
    environments.close()
    batch = buffer.transitions()
    assert set(batch.observations[:, 0].tolist()) == set(range(len(schedules)))
    for index, schedule in enumerate(schedules):
        rows = [row for row in range(len(buffer)) if batch.observations[row, 0] == index]
        expected = truth(index, schedule, 40, reset_takes_a_step=mode is AutoresetMode.NEXT_STEP)
        last_action = 0.0
        for row, (observation, reward, next_observation, terminated) in zip(rows, expected, strict=True):
            if observation[2] == 0:
                last_action = 0.0
            action = batch.actions[row].item()
            assert batch.observations[row].tolist() == pytest.approx([*observation, last_action])
            assert batch.rewards[row].item() == reward
            assert batch.next_observations[row].tolist() == pytest.approx([*next_observation, action])
            assert batch.terminations[row].item() == terminated
            last_action = action
    return truncated


def test_a_vector_environment_that_does_not_say_how_it_resets_is_refused():
    environments = SyncVectorEnv([lambda: Diary(0, [(3, True)])])
    del environments.metadata["autoreset_mode"]
    with pytest.raises(InputError, match="autoreset_mode None"):
        Collector(environments)


class Talks(Walk):
    """Says all kinds of things in info."""

    def __init__(self, infos):
        super().__init__()
        self.infos = itertools.cycle(infos)

    def info(self):
        return next(self.infos)


gymnasium.register("Talks-v0", entry_point=Talks, max_episode_steps=3)
LAST = np.full(1, -4, np.float32)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "infos",
    [
        [{"final_obs": LAST, "final_info": {"left_out": 1}, "_final_obs": True}],
        [{"left_out": 3, "reset_mask": 1}],
        [{"contacts": np.zeros(0)}, {"contacts": np.zeros(2)}, {"contacts": None}],
        [{"state": 0}, {"state": "falling"}, {"state": {"where": LAST}}, {}],
        [{0: 1, "episode": {"r": "?"}, "_episode": LAST}],
    ],
    ids=str,
)
def test_what_an_environment_says_in_info_has_no_influence(infos, asynchronous):
    def seen(infos):
        collector = Collector(make_vector("Talks-v0", {"infos": infos}, 2, 0, asynchronous))
        steps = [collector.step(np.full((2, 1), 0.5, np.float32)) for _ in range(8)]
        collector.close()
        return steps

    for one, other in zip(seen(infos), seen([{}]), strict=True):
        for ours, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_every_reset_follows_run_seed_environment_and_episode(asynchronous):
    """300 steps of Pendulum hold one automatic reset; starts repeat with the run's seed and never otherwise."""

    def starts(seed):
        collector = Collector(make_vector("Pendulum-v1", {}, 2, seed, asynchronous))
        first = collector.observations
        for _ in range(200):
            collector.step(np.zeros((2, 1), np.float32))
        collector.vector.close()
        return [tuple(row) for row in (*first, *collector.observations)]

    once, again, other = starts(5), starts(5), starts(6)
    assert once == again
    assert len({*once, *other}) == 8


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_episode_that_was_broken_off_is_taken_up_again(asynchronous):
    generator = np.random.default_rng(0)
    actions = generator.uniform(-2, 2, (330, 3, 1)).astype(np.float32)

    def make():
        return Collector(make_vector("Pendulum-v1", {}, 3, 1, asynchronous))

    whole, resumed = make(), make()
    for step in range(250):
        whole.step(actions[step])
    resumed.load_state_dict(whole.state_dict())
    for step in range(250, 330):
        one, other = whole.step(actions[step]), resumed.step(actions[step])
        for ours, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    whole.step(np.zeros((3, 1), np.float32))
    state = whole.state_dict()
    state["observations"][0][0] += 1e-3
    with pytest.warns(UserWarning, match="does not repeat an episode"):
        resumed.load_state_dict(state)
    for each in (whole, resumed):
        each.vector.close()


def test_a_restart_begins_the_next_episode_from_its_seed():
    collector, other = (Collector(make_vector("own_environments:Walk-v0", {}, 2, 3)) for _ in range(2))
    actions = np.ones((2, 1), np.float32)
    for _ in range(20):  # up to the limit
        other.step(actions)
    for _ in range(7):
        collector.step(actions)
    collector.restart()
    np.testing.assert_array_equal(collector.observations, other.observations)
    assert [each["episode"] for each in collector.state_dict()["progress"]] == [1, 1]
    np.testing.assert_array_equal(collector.step(actions).rewards, other.step(actions).rewards)
