import numpy as np
import pytest
from gymnasium.spaces import Box
from stable_baselines3.common.buffers import NStepReplayBuffer

from ddpg.environments import NStep, Transitions

SPACE = Box(-1, 1, (1,), np.float32)


def step(observations, rewards, terminated=(), truncated=()):
    """A step of environments whose observations count; in those listed the episode ends."""
    environments = np.arange(len(rewards))
    column = np.array(observations, float).reshape(-1, 1)
    ends = (np.isin(environments, each) for each in (terminated, truncated))
    return Transitions(environments, column, -column, np.array(rewards, float), column + 1, *ends)


def rows(transitions):
    """Observation, return, next observation and 1 − terminations of each transition."""
    columns = (transitions.observations[:, 0], transitions.rewards, transitions.next_observations[:, 0])
    return list(zip(*columns, 1 - transitions.terminations, strict=True))


def test_by_hand():
    n_step = NStep(3, 0.5, 1)
    assert rows(n_step(step([0], [1]))) == rows(n_step(step([1], [2]))) == []
    assert rows(n_step(step([2], [4]))) == [(0, 1 + 1 + 1, 3, 0.25)]  # what the agent multiplies by γ: γ³ in all
    assert rows(n_step(step([3], [8]))) == [(1, 2 + 2 + 2, 4, 0.25)]


@pytest.mark.parametrize(("end", "bootstraps"), [("terminated", (0, 0, 0)), ("truncated", (0.25, 0.5, 1))])
def test_the_end_of_an_episode_closes_what_is_open(end, bootstraps):
    n_step = NStep(3, 0.5, 1)
    n_step(step([0], [1]))
    n_step(step([1], [2]))
    closed = n_step(step([2], [4], **{end: [0]}))
    assert rows(closed) == [(0, 3, 3, bootstraps[0]), (1, 4, 3, bootstraps[1]), (2, 4, 3, bootstraps[2])]
    assert rows(n_step(step([10], [1]))) == rows(n_step(step([11], [0]))) == []
    assert rows(n_step(step([12], [0]))) == [(10, 1, 13, 0.25)]


def test_environments_are_apart():
    n_step = NStep(2, 0.5, 2)
    n_step(step([0, 100], [1, 10]))
    assert rows(n_step(step([1, 101], [2, 20], terminated=[0]))) == [(0, 2, 2, 0), (1, 2, 2, 0), (100, 20, 102, 0.5)]
    assert rows(n_step(step([50, 102], [1, 0]))) == [(101, 20, 103, 0.5)]


def test_one_step_is_left_as_it_is():
    transitions = step([0, 1], [2, 3])
    assert NStep(1, 0.5, 2)(transitions) is transitions


def test_as_the_buffer_of_stable_baselines3():
    generator, discount, steps, length = np.random.default_rng(0), 0.9, 4, 60
    theirs = NStepReplayBuffer(length, SPACE, SPACE, n_steps=steps, gamma=discount)
    n_step, ours = NStep(steps, discount, 1), []
    for number in range(length):
        ended, cut = generator.random() < 0.15, generator.random() < 0.15
        each = step([number], [generator.standard_normal()], [0] if ended else [], [0] if cut else [])
        ours += rows(n_step(each))
        theirs.add(
            each.observations,
            each.next_observations,
            each.actions,
            each.rewards,
            each.terminations | each.truncations,
            [{"TimeLimit.truncated": cut and not ended}],
        )
    sample = theirs._get_samples(np.arange(len(ours)))
    expected = [each.numpy()[:, 0] for each in (sample.observations, sample.rewards, sample.next_observations)]
    expected.append((1 - sample.dones.numpy()[:, 0]) * sample.discounts.numpy()[:, 0] / discount)
    assert len(ours) > length - steps
    np.testing.assert_allclose(np.array(ours).T, expected, rtol=1e-5, atol=1e-6)


def test_it_goes_on_from_its_state():
    whole, first, second = (NStep(3, 0.9, 2) for _ in range(3))
    before = [step([0, 10], [1, 2]), step([1, 11], [3, 4], truncated=[1])]
    after = [step([2, 20], [5, 6]), step([3, 21], [7, 8])]
    for each in before:
        whole(each), first(each)
    second.load_state_dict(first.state_dict())
    assert [rows(whole(each)) for each in after] == [rows(second(each)) for each in after]
    NStep(3, 0.9, 2).load_state_dict(NStep(3, 0.9, 2).state_dict())
