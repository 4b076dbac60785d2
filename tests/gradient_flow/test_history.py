"""A record does not grow with time."""

import gc

import pytest
import torch
from torch import nn

from ddpg.gradient_flow import GradientFlow

PERIOD = 200


def train(networks, optimizers, steps):
    """Two losses, two optimizers and a slow copy."""
    actor, critic, target = networks
    for _ in range(steps):
        x = torch.randn(2, 2)
        optimizers[1].zero_grad()
        (critic(x) - target(x).detach()).square().mean().backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        (-critic(actor(x)).mean()).backward()
        optimizers[0].step()
        with torch.no_grad():
            target.weight.lerp_(critic.weight, 0.1)


def objects():
    """How many there are that can hold others."""
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.parametrize(
    ("trace", "steps"), [(False, 1000), pytest.param(False, 5000, marks=pytest.mark.long), (True, 400)]
)
def test_thousands_of_steps_take_no_more_memory_than_hundreds(trace, steps):
    networks = nn.Linear(2, 2), nn.Linear(2, 1), nn.Linear(2, 1)
    optimizers = [torch.optim.SGD(each.parameters(), lr=1e-3) for each in networks[:2]]
    with GradientFlow(actor=networks[0], critic=networks[1], target=networks[2], trace=trace) as flow:
        train(networks, optimizers, 100)
        before = objects()
        train(networks, optimizers, steps - 100)
        assert objects() < before + 200
    assert [sum(each.times for each in entries) for entries in (flow.backwards, flow.steps)] == [2 * steps] * 2
    assert len(flow.backwards) + len(flow.steps) < 100
    assert f"({steps} of {steps} passes; " in " ".join(str(flow).split())


def test_networks_and_optimizers_made_anew_leave_nothing_behind():
    trunk = nn.Linear(2, 2)
    sizes = []
    with GradientFlow(trunk=trunk) as flow:
        for step in range(3 * PERIOD):
            learner = nn.Linear(2, 1)  # as of one task of many
            optimizer = torch.optim.SGD([*learner.parameters(), *trunk.parameters()], lr=1e-3)
            learner(trunk(torch.randn(3, 2))).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            if step % PERIOD == PERIOD - 1:
                sizes.append(objects())
    assert max(sizes) < sizes[0] + 2000
    assert len(flow._record.steppings) < 40
    assert len(str(flow).splitlines()) < 30
    assert not flow.findings()


def test_older_entries_are_counted_with_the_latest_numbers():
    model = nn.Linear(1, 1)
    with GradientFlow(model=model) as flow:
        for factor in range(1, 101):
            model.zero_grad()
            (factor * model(torch.ones(1, 1))).sum().backward()
    first, *others = flow.backwards
    assert first.times == 100 - len(others)
    assert first.reached["model"] == pytest.approx(first.times * 2**0.5)
    assert [each.reached["model"] for each in others] == pytest.approx(
        [factor * 2**0.5 for factor in range(first.times + 1, 101)]
    )
