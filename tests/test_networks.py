import numpy as np
import pytest
import torch
from conftest import make_agent
from gymnasium.spaces import Box

from ddpg import Actor, Critic

OBSERVATIONS = Box(-1, 1, (2, 2))
ACTIONS = Box(np.float32([-3, 0.5, 2]), np.float32([1, 0.5, 10]))


@pytest.mark.parametrize(("output", "expected"), [(50.0, [1, 0.5, 10]), (-50.0, [-3, 0.5, 2]), (0.0, [-1, 0.5, 6])])
def test_the_actor_reaches_its_bounds_and_their_middle(output, expected):
    actor = Actor(OBSERVATIONS, ACTIONS, (8,))
    for parameter in actor.parameters():
        parameter.data.zero_()
    actor.output.bias.data.fill_(output)
    assert actor(torch.zeros(5, 4)).tolist() == [expected] * 5


@pytest.mark.parametrize(
    ("action", "expected"), [([1, 0.5, 10], [1, 0, 1]), ([-3, 0.5, 2], [-1, 0, -1]), ([0, 0.5, 8], [0.5, 0, 0.5])]
)
def test_the_critic_sees_actions_in_minus_one_to_one_after_the_observation(action, expected):
    """With one hidden unit per input and no bias, Q is the weighted sum of what the critic sees."""
    critic = Critic(OBSERVATIONS, ACTIONS, (7,))
    for index, seen in enumerate([10, 20, 30, 40, *expected]):
        for parameter in critic.parameters():
            parameter.data.zero_()
        critic.layers[0].weight.data[0, index] = 1
        critic.layers[0].bias.data[0] = 1  # keeps the unit on its linear side
        critic.layers[1].weight.data[0, 0] = 1
        value = critic(torch.tensor([[10.0, 20, 30, 40]]), torch.tensor([action], dtype=torch.float32))
        assert value.tolist() == [seen + 1]


@pytest.mark.parametrize(
    ("action_layer", "inputs"), [(0, [4 + 3, 400, 300]), (1, [4, 400 + 3, 300]), (2, [4, 400, 300 + 3])]
)
def test_parameters_in_layer_order(action_layer, inputs):
    critic = Critic(OBSERVATIONS, ACTIONS, (400, 300), action_layer=action_layer)
    shapes = [tuple(parameter.shape) for parameter in critic.parameters()]
    assert shapes == [(400, inputs[0]), (400,), (300, inputs[1]), (300,), (1, inputs[2]), (1,)]
    assert critic(torch.zeros(5, 4), torch.zeros(5, 3)).shape == (5,)
    actor = Actor(OBSERVATIONS, ACTIONS, (400, 300))
    assert [tuple(each.shape) for each in actor.parameters()] == [(400, 4), (400,), (300, 400), (300,), (3, 300), (3,)]


def test_the_papers_initialisation():
    """Final layers uniform in ±3e-3, hidden ones in ±1/√fan_in (section 7 of the paper)."""
    torch.manual_seed(0)
    actor = Actor(OBSERVATIONS, ACTIONS, (400, 300), final_layer_bound=3e-3)
    critic = Critic(OBSERVATIONS, ACTIONS, (400, 300), final_layer_bound=3e-3, action_layer=1)
    bounds = {actor.output: 3e-3, critic.layers[2]: 3e-3, actor.hidden[1]: 400**-0.5, critic.layers[1]: 403**-0.5}
    for layer, bound in bounds.items():
        largest = layer.weight.abs().max().item()
        assert 0.97 * bound < largest <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
        assert layer.bias.abs().max().item() <= bound


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "uint16", "longdouble", "bool"])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_policy_and_values_take_real_numbers_of_any_dtype_and_layout(dtype, precision):
    agent = make_agent()
    for network in agent.modules().values():
        network.to(precision)
    states = np.array([[0, 1, 1], [1, 0, 1]], dtype)[::-1, ::-1]
    tensor = torch.tensor(states.astype(np.float64), dtype=precision)
    actions = agent.policy(states)
    assert actions.dtype == str(precision).removeprefix("torch.")
    np.testing.assert_array_equal(actions, agent.actor(tensor).detach())
    found = agent.values(states, actions)
    assert found.shape == (2,)
    np.testing.assert_array_equal(found, agent.critic(tensor, torch.tensor(actions)).detach())
