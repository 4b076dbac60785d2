"""What of spaces is refused, with advice that works."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.wrappers import ClipAction, TransformAction
from own_environments import Walk

from ddpg import DDPG, InputError
from ddpg.base.spaces import check_spaces


class Torque(Walk):
    action_space = Box(-np.inf, np.inf, (1,), np.float32)


class HalfBounded(Walk):
    action_space = Box(0, np.inf, (1,), np.float32)


@pytest.mark.parametrize("env", [Torque(), HalfBounded(), ClipAction(Walk())], ids=str)
def test_unbounded_actions_are_refused_and_what_the_message_names_mends_it(env):
    with pytest.raises(InputError, match=r"is unbounded") as raised:
        DDPG(env.observation_space, env.action_space)
    assert "ClipAction makes any action space unbounded: take that off" in str(raised.value)
    advice = "TransformAction(env, lambda action: action, gymnasium.spaces.Box(-1, 1, env.action_space.shape))"
    assert advice in str(raised.value)
    env = eval(advice, {"env": env, "gymnasium": gymnasium, "TransformAction": TransformAction})
    agent = DDPG(env.observation_space, env.action_space, hidden_sizes=(8,))
    env.reset(seed=0)
    env.step(agent.act(np.zeros(1, np.float32)))


def test_a_space_of_the_old_gym_is_named_as_such():
    old = type("Box", (), {"__module__": "gym.spaces.box"})()
    with pytest.raises(InputError, match=r"observation space .*a space of the old package gym; take it from gymnasium"):
        check_spaces(old, Walk.action_space)
    with pytest.raises(InputError, match=r"action space .*a space of the old package gym"):
        check_spaces(Walk.observation_space, old)
