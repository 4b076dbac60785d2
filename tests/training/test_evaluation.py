import gymnasium
import numpy as np
import pytest
import torch
from conftest import ACTIONS, OBSERVATIONS, make_agent
from gymnasium.spaces import Box

from ddpg import InputError
from ddpg.training.evaluation import ROWS, evaluate


class Starts(gymnasium.Env):
    """Lasts as many steps as the seed is above 10,000, plus one, and pays the first action's first element."""

    observation_space = OBSERVATIONS
    action_space = ACTIONS

    def reset(self, *, seed=None, options=None):
        self.left = seed - 10_000 + 1
        return np.full(3, self.left / 10), {}

    def step(self, action):
        self.left -= 1
        return np.full(3, self.left / 10), float(action[0]), self.left == 0, False, {}


def test_episodes_start_from_their_seeds_and_the_policy_acts_without_noise():
    agent = make_agent()
    found = evaluate(agent, Starts(), range(3))
    assert found.lengths.tolist() == [1, 2, 3]
    paid = {left: float(agent.act(np.full(3, left / 10))[0]) for left in (1, 2, 3)}
    np.testing.assert_allclose(found.returns, [paid[1], paid[2] + paid[1], paid[3] + paid[2] + paid[1]], rtol=1e-6)


@pytest.mark.parametrize("count", [2, 3, ROWS])
def test_how_many_run_side_by_side_changes_no_bit(count):
    agent = make_agent(hidden_sizes=(300, 300))
    alone = evaluate(agent, Starts(), range(23))
    together = evaluate(agent, [Starts() for _ in range(count)], range(23))
    single = [evaluate(agent, Starts(), [number]) for number in range(23)]
    unordered = evaluate(agent, [Starts() for _ in range(count)], [20, 10, 0, 3])
    for figure in alone._fields:
        np.testing.assert_array_equal(getattr(together, figure), getattr(alone, figure))
        np.testing.assert_array_equal([getattr(each, figure)[0] for each in single], getattr(alone, figure))
        np.testing.assert_array_equal(getattr(unordered, figure), getattr(alone, figure)[[20, 10, 0, 3]])


def test_the_bias_is_what_the_critic_promises_at_the_start_beyond_what_follows_discounted():
    agent = make_agent(discount=0.5)
    found = evaluate(agent, Starts(), [2])
    start = np.full(3, 0.3)
    paid = [float(agent.act(np.full(3, left / 10))[0]) for left in (3, 2, 1)]
    np.testing.assert_allclose(found.discounted_returns, [paid[0] + paid[1] / 2 + paid[2] / 4])
    value = agent.critic(*(torch.tensor(each[None], dtype=torch.float32) for each in (start, agent.act(start))))
    np.testing.assert_allclose(found.start_values, value.detach())
    assert found.q_bias == (found.start_values - found.discounted_returns)[0]


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 1)])
def test_observations_of_another_shape_are_refused(shape):
    environment = Starts()
    environment.observation_space = Box(-1, 1, shape)
    with pytest.raises(InputError, match=r"observations and actions of shapes .*: the agent's are \(3,\)"):
        evaluate(make_agent(), environment, range(2))


def test_no_episodes_are_refused():
    with pytest.raises(InputError, match=r"episodes: there are none"):
        evaluate(make_agent(), Starts(), range(0))


def test_an_episode_is_cut_off_at_the_limit_and_counted_up_to_there():
    agent = make_agent()
    whole, cut = evaluate(agent, Starts(), [8]), evaluate(agent, Starts(), [8], max_episode_steps=4)
    assert (whole.lengths[0], cut.lengths[0]) == (9, 4)
    assert cut.returns[0] == pytest.approx(sum(float(agent.act(np.full(3, left / 10))[0]) for left in (9, 8, 7, 6)))


def test_before_every_step_one_may_say_that_it_is_enough():
    class EnoughError(Exception):
        pass

    steps = iter(range(4))

    def see(observation):
        assert observation.shape == Starts.observation_space.shape
        if next(steps) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        evaluate(make_agent(), Starts(), [20], see=see)
