"""The audit as text."""

import torch
from torch import nn

from ddpg.gradient_flow import GradientFlow


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
    assert lines[0].split() == ["backward", "pass", "loss", "actor", "critic", "held"]
    assert "test_the_table_says_what_each_pass_reached_and_each_step_did ×3" in lines[1]
    assert f" {flow.backwards[-2].loss:.4g} " in lines[1]
    assert f"{flow.backwards[-2].reached['critic']:.3g}" in lines[1] and " · " in lines[1]
    assert any(line.startswith("2  actor enters at") and "Mean ← critic ← Cat ← actor" in line for line in lines)
    first, second = (line for line in lines if " SGD ×3" in line)
    assert "held, not reached" in first and f"moved {flow.steps[-2].moved['critic']:.3g} ← 1" in first
    assert f"moved {flow.steps[-1].moved['actor']:.3g} ← 2" in second
    assert "1 finding" in text and "\n- waste: the gradient that the loss at " in text
    assert max(map(len, lines[lines.index("1 finding") :])) <= 100


def test_an_empty_audit_says_so():
    with GradientFlow(model=nn.Linear(1, 1)) as flow:
        pass
    assert str(flow).endswith("0 findings")
