"""Recording runs the function as it is, and leaves what it works on as it was."""

import copy

import pytest
import torch
from conftest import identical, make_agent, make_batch, weights

from ddpg.compiled.recording import CPU_REWRITES, record_update
from ddpg.gradient_flow import GradientFlow


def test_recording_leaves_the_agent_as_it_was():
    agent = make_agent()
    agent.update(make_batch())
    before = weights(*agent.modules().values())
    moments = copy.deepcopy(agent.critic_optimizer.state_dict()["state"])
    with GradientFlow(agent.modules()) as flow:
        record_update(agent, make_batch(seed=1))
    assert identical(before, weights(*agent.modules().values()))
    for place, state in agent.critic_optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, moments[place][name]) for name, value in state.items())
    assert agent.critic_updates == 1
    assert not flow.backwards
    assert not flow.steps


@pytest.mark.parametrize(
    "shapes",
    [((6, 3), (3, 8)), ((6, 8), (8, 1)), ((40, 8), (8, 5)), ((1, 8), (8, 40)), ((1, 8), (8, 1)), ((6, 8), (8, 40))],
    ids=str,
)
def test_rewritten_products_are_the_products(shapes):
    left, right = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    bias = torch.randn(shapes[1][1], dtype=torch.float64)
    for operation, arguments, expected in (
        (torch.ops.aten.mm.default, (left, right), left @ right),
        (torch.ops.aten.addmm.default, (bias, left, right), left @ right + bias),
    ):
        result = CPU_REWRITES[operation](*arguments)
        if result is NotImplemented:
            assert operation == torch.ops.aten.mm.default
            assert shapes == ((6, 8), (8, 40))
        else:
            torch.testing.assert_close(result, expected, rtol=0, atol=1e-14)
