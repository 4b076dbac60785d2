"""The graph as it is drawn: what carries a gradient, where it is cut, and what lies behind."""

import pytest
import torch
from conftest import make_agent, make_batch
from torch import nn

from ddpg.gradient_flow import GradientFlow
from ddpg.gradient_flow.diagram import Link
from ddpg.gradient_flow.drawing import Fate, fate, title


def critic_pass(stop):
    agent = make_agent(gradient_stop=stop)
    with GradientFlow(agent.modules(), trace=True) as flow:
        agent.update(make_batch())
    return flow.backwards[0]


def fates(backward, name):
    operations = [each for each in backward.diagram.operations if each.calls and each.calls[0].name == name]
    return {fate(backward, backward.diagram, each) for each in operations if each.parameters}


@pytest.mark.parametrize(
    ("stop", "cut", "actor"),
    [
        ("none", None, Fate.APPLIED),
        ("detach", ("detach", "add"), Fate.NONE),
        ("no_grad", ("sub", "add"), Fate.NONE),
        ("inference_mode", ("clone", "add"), Fate.NONE),
        ("optimizer", None, Fate.UNUSED),
        ("manual", None, Fate.UNUSED),
    ],
)
def test_where_each_stop_cuts(stop, cut, actor):
    backward = critic_pass(stop)
    diagram = backward.diagram
    cuts = [(title(one), title(other)) for (one, other), link in diagram.links.items() if link is Link.CUT]
    assert cuts == ([cut] if cut else [])
    behind = {each.calls[0].name for each in diagram.behind}
    assert behind == ({"target_actor"} if cut else set())
    assert fates(backward, "target_actor") == {actor}
    assert fates(backward, "critic") == {Fate.APPLIED}
    assert fates(backward, "target_critic") == {Fate.NONE}
    assert "target_actor" in {call.name for call in diagram.calls() if call}


def test_a_gradient_that_was_not_asked_for_is_told_apart():
    one, two = nn.Linear(1, 1), nn.Linear(1, 1)
    with GradientFlow(one=one, two=two, trace=True) as flow:
        two(one(torch.ones(1, 1))).sum().backward(inputs=list(two.parameters()))
    links = flow.backwards[0].diagram.links
    assert list(links.values()) == [Link.GRADIENT, Link.UNASKED]


def test_data_that_no_parameter_stands_behind_is_left_out():
    model = nn.Linear(1, 1)
    with GradientFlow(model=model, trace=True) as flow:
        target = torch.ones(3, 1).exp() + 1
        (model(torch.ones(3, 1)) - target).square().mean().backward()
    assert [title(each) for each in flow.backwards[0].diagram.operations] == ["mean", "square", "sub", "linear"]
