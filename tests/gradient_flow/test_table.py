"""The audit as text."""

import pytest
import torch
from torch import nn

from ddpg.gradient_flow import GradientFlow, private


@pytest.mark.skipif(not private.knows_memory, reason="PyTorch does not tell here what memory a graph holds")
def test_the_table_says_what_each_pass_reached_and_each_step_did():
    torch.manual_seed(0)
    actor, critic = nn.Linear(2, 1), nn.Linear(3, 1)
    critic_optimizer = torch.optim.SGD([*critic.parameters(), *actor.parameters()], lr=0.1)
    actor_optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)
    x = torch.randn(4, 2)
    with GradientFlow(actor=actor, critic=critic, trace=True) as flow:
        for _ in range(3):
            critic_optimizer.zero_grad()
            critic(torch.cat((x, actor(x).detach()), -1)).mean().backward()
            critic_optimizer.step()
            actor_optimizer.zero_grad()
            critic(torch.cat((x, actor(x)), -1)).mean().backward()
            actor_optimizer.step()
    text = str(flow)
    lines = text.splitlines()
    assert lines[0].startswith("loss 1  ")
    assert "in test_the_table_says_what_each_pass_reached_and_each_step_did ×3" in lines[0]
    assert f" {flow.backwards[-2].loss:.4g}, graph of " in lines[1]
    assert lines[2].split() == ["reaches", "critic", f"{flow.backwards[-2].reached['critic']:.3g}"]
    assert any(line.startswith("        enters  actor at") and "Mean ← critic ← Cat ← actor" in line for line in lines)
    first, second = (place for place, line in enumerate(lines) if line.endswith(" SGD ×3"))
    assert lines[first + 1].split() == ["moves", "critic", f"{flow.steps[-2].moved['critic']:.3g}", "by", "loss", "1"]
    assert "holds   actor, to which no gradient came" in lines[first + 2]
    assert f"actor {flow.steps[-1].moved['actor']:.3g} by loss 2" in lines[second + 1]
    foot = lines[lines.index("1 cost") :]
    assert foot[1].startswith("  waste  gradients of critic are computed and never applied ")
    assert foot[3].startswith("waste, a cost: Gradients of critic are computed and never applied. By the loss at ")
    assert max(map(len, lines)) <= 100


def test_twelve_modules_fit_into_a_hundred_columns():
    modules = {f"a_network_with_a_long_name_{number}": nn.Linear(2, 2) for number in range(12)}
    optimizer = torch.optim.SGD([each for module in modules.values() for each in module.parameters()], lr=0.1)
    others = torch.optim.SGD(modules["a_network_with_a_long_name_0"].parameters(), lr=0.1)
    with GradientFlow(modules, trace=True) as flow:
        for _ in range(3):
            for each in (optimizer, others):
                optimizer.zero_grad()
                sum(module(torch.ones(1, 2)).sum() for module in modules.values()).backward()
                each.step()
    lines = str(flow).splitlines()
    assert all(any(name in line for line in lines) for name in modules)
    assert len(flow.findings()) == 1
    assert max(map(len, lines)) <= 100


def test_what_repeats_is_one_line():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model) as flow:
        for _ in range(200):
            optimizer.zero_grad()
            model(torch.ones(1, 2)).square().sum().backward()
            optimizer.step()
    assert len(str(flow).splitlines()) < 10
    assert "×200" in str(flow)
    assert sum(each.times for each in flow.backwards) == sum(each.times for each in flow.steps) == 200
    assert len(flow.backwards) < 50
