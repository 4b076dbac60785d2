"""The line where a module's output enters a loss, and the way there."""

import linecache

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ddpg.gradient_flow import GradientFlow


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, observations, actions):
        return self.net(torch.cat((observations, actions), -1))

    def first_value(self, observations, actions):
        return self.net(torch.cat((observations, actions), -1))[:, 0]


@pytest.fixture
def actor():
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))


def source(place):
    return linecache.getline(place.file, place.line).strip()


OBSERVATIONS = torch.randn(5, 2)


def test_the_line_is_the_users_call_also_in_the_middle_of_an_expression(actor):
    critic = Critic()
    with GradientFlow(actor=actor, critic=critic, trace=True) as flow:
        loss = F.mse_loss(
            critic(
                OBSERVATIONS,
                actor(OBSERVATIONS),  # the actor's
            ),
            torch.zeros(5, 1),
        )
        loss.backward()
    crossings = flow.backwards[0].crossings
    assert source(crossings["actor"][0].place) == "actor(OBSERVATIONS),  # the actor's"
    assert source(crossings["critic"][0].place) == "critic("
    assert crossings["actor"][0].path == (
        "MseLoss", "critic.net.2", "critic.net.1", "critic.net.0", "Cat", "actor.2",
    )  # fmt: skip
    assert crossings["critic"][0].path == ("MseLoss", "critic.net.2")
    assert crossings["actor"][0].place.function == "test_the_line_is_the_users_call_also_in_the_middle_of_an_expression"


def test_a_plain_method_of_a_module_is_the_modules_own_code(actor):
    critic = Critic()
    with GradientFlow(actor=actor, critic=critic, trace=True) as flow:
        values = critic.first_value(OBSERVATIONS, actor(OBSERVATIONS))
        values.mean().backward()
    assert source(flow.backwards[0].crossings["critic"][0].place).startswith("values = ")


def test_inside_another_module_the_line_is_where_that_one_calls_it(actor):
    class Agent(nn.Module):
        def __init__(self):
            super().__init__()
            self.actor, self.critic = actor, Critic()

        def forward(self, observations):
            actions = self.actor(observations)
            return self.critic(observations, actions)

    agent = Agent()
    with GradientFlow(actor=agent.actor, critic=agent.critic, trace=True) as flow:
        agent(OBSERVATIONS).mean().backward()
    assert source(flow.backwards[0].crossings["actor"][0].place) == "actions = self.actor(observations)"


def test_every_line_by_which_a_module_enters_is_named(actor):
    with GradientFlow(actor=actor, trace=True) as flow:
        one = actor(OBSERVATIONS)
        two = actor(-OBSERVATIONS)
        (one - two).square().mean().backward()
    assert {source(each.place) for each in flow.backwards[0].crossings["actor"]} == {
        "one = actor(OBSERVATIONS)",
        "two = actor(-OBSERVATIONS)",
    }


def test_parameters_used_without_a_call(actor):
    with GradientFlow(actor=actor, trace=True) as flow:
        hidden = F.linear(OBSERVATIONS, actor[0].weight)
        hidden.sum().backward()
    (crossing,) = flow.backwards[0].crossings["actor"]
    assert source(crossing.place) == "hidden = F.linear(OBSERVATIONS, actor[0].weight)"


def test_a_part_shared_by_two_modules_belongs_to_the_one_that_calls_it():
    trunk = nn.Linear(2, 3)
    one, two = nn.Sequential(trunk, nn.Linear(3, 1)), nn.Sequential(trunk, nn.Linear(3, 1))
    with GradientFlow(one=one, two=two, trunk=trunk, trace=True) as flow:
        value = two(OBSERVATIONS)
        value.sum().backward()
    crossings = flow.backwards[0].crossings
    assert crossings["two"][0].path == ("Sum", "two.1")
    assert crossings["trunk"][0].path == ("Sum", "two.1", "two.0")
    assert source(crossings["trunk"][0].place) == "value = two(OBSERVATIONS)"


def test_a_function_of_the_users_own_is_passed_through(actor):
    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, gradient):
            return -gradient

    with GradientFlow(actor=actor, trace=True) as flow:
        Reverse.apply(actor(OBSERVATIONS)).sum().backward()
    (crossing,) = flow.backwards[0].crossings["actor"]
    assert crossing.path == ("Sum", "Reverse", "actor.2")


def test_a_graph_from_before_the_audit(actor):
    loss = actor(OBSERVATIONS).sum()
    with GradientFlow(actor=actor, trace=True) as flow:
        loss.backward()
    assert flow.backwards[0].reached["actor"] > 0
    assert flow.backwards[0].crossings["actor"][0].path[0] == "Sum"
    assert flow.mermaid()


def test_a_part_of_the_graph_from_before_the_audit_is_not_the_next_modules(actor):
    critic = nn.Linear(1, 1)
    actions = actor(OBSERVATIONS)
    with GradientFlow(actor=actor, critic=critic, trace=True) as flow:
        critic(actions).sum().backward()
    (crossing,) = flow.backwards[0].crossings["actor"]
    assert crossing.place.file == "<before the audit>"
    assert {each.module for each in flow.backwards[0].diagram.operations} == {"", "critic"}


def test_without_tracing_there_are_no_lines(actor):
    with GradientFlow(actor=actor) as flow:
        actor(OBSERVATIONS).sum().backward()
    assert flow.backwards[0].crossings == {}


def test_a_state_carried_on_for_ever_is_forgotten_in_the_end():
    cell = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.01)
    state = torch.zeros(1, 2)
    with GradientFlow(cell=cell, trace=True) as flow:
        for _ in range(200):
            state = torch.tanh(cell(state.detach()))
            optimizer.zero_grad()
            state.sum().backward()
            optimizer.step()
    assert max(len(each.diagram.operations) for each in flow.backwards) < 320
    assert not flow.findings()
