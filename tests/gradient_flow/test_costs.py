"""Costs: their shares add up, and small ones are left out."""

import re

import pytest
import torch
from torch import nn

from ddpg.gradient_flow import GradientFlow


def wasteful(size, stepped=0, **settings):
    """One loss through three networks in a row, of which one alone is stepped on."""
    torch.manual_seed(0)
    one, two, three = nn.Linear(8, 8, bias=False), nn.Linear(8, size, bias=False), nn.Linear(size, 8, bias=False)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (one, two, three)]
    with GradientFlow(one=one, two=two, three=three, **settings) as flow:
        for _ in range(3):
            for each in optimizers:
                each.zero_grad()
            three(two(one(torch.randn(4, 8)))).sum().backward()
            optimizers[stepped].step()
    return flow


@pytest.mark.parametrize(
    ("stepped", "modules", "share"),
    [
        # Of five products of this size, those for the two weights serve nothing else;
        (0, ("two", "three"), 40),
        # where the last is stepped on, so do those for the inputs on the way to both, which count once.
        (2, ("one", "two"), 80),
    ],
)
def test_the_shares_of_a_pass_add_up(stepped, modules, share):
    (both,) = (each for each in wasteful(8, stepped).findings() if each.kind == "waste")
    assert both.modules == modules
    (said,) = re.findall(r"(\d+)% of the work of a pass", both.message)
    assert int(said) == pytest.approx(share, abs=5)


def test_what_costs_less_than_the_least_is_left_out():
    assert [each.modules for each in wasteful(1, least_cost=0.0).findings()] == [("two", "three")]
    assert not wasteful(1, least_cost=0.9).findings()


def test_a_scaled_pass_that_overflows_costs_nothing():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    with GradientFlow(model=model) as flow:
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(100 * model(torch.ones(1, 2)).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
    assert not flow.findings()
    assert "The gradient scaler left out" in str(flow)


@pytest.mark.parametrize("trace", [False, True])
def test_what_was_dropped_by_hand_was_not_cleared_by_the_zero_grad_that_follows(trace):
    """Without tracing nobody sees who dropped it."""
    body, head = nn.Linear(3, 4), nn.Linear(4, 1)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (body, head)]
    with GradientFlow(body=body, head=head, trace=trace) as flow:
        for _ in range(3):
            for each in optimizers:
                each.zero_grad()
            head(body(torch.randn(5, 3))).square().mean().backward()
            optimizers[1].step()
            for each in body.parameters():
                each.grad = None
    (waste,) = flow.findings()
    assert ("and then it was dropped at" if trace else "and then it was gone.") in waste.message


def test_no_stop_is_proposed_where_another_loss_needs_the_call():
    """The judge sees the picture detached; the painter's own loss comes through the same call of the renderer."""
    painter, renderer, judge = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (painter, judge)]
    with GradientFlow(painter=painter, renderer=renderer, judge=judge, trace=True) as flow:
        for _ in range(3):
            picture = renderer(painter(torch.randn(5, 3)))
            for each in optimizers:
                each.zero_grad()
            judge(picture.detach()).mean().backward()
            optimizers[1].step()
            picture.square().mean().backward()
            optimizers[0].step()
    assert {each.kind for each in flow.findings()} == {"unheld", "waste"}
    assert not any("no_grad" in each.message or "stop it" in each.message for each in flow.findings())


def test_no_stop_is_proposed_before_data_that_want_a_gradient():
    encoder, head = nn.Linear(3, 4), nn.Linear(4, 1)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    with GradientFlow(encoder=encoder, head=head, trace=True) as flow:
        for _ in range(3):
            data = torch.randn(5, 3).requires_grad_()
            optimizer.zero_grad()
            features = encoder(data)
            head(features).square().mean().backward()
            optimizer.step()
    (waste,) = (each for each in flow.findings() if each.kind == "waste")
    assert "stop it" not in waste.message
