"""What the user of an audit meets first: arguments, assertions, errors."""

import re

import pytest
import torch
from torch import nn

from ddpg.gradient_flow import GradientFlow


def update_critic(loss):
    loss.backward()


def audit(stopped=True, trace=True):
    """One critic update, with or without a stop."""
    torch.manual_seed(0)
    actor, critic = nn.Linear(2, 1), nn.Linear(3, 1)
    optimizer = torch.optim.SGD([*actor.parameters(), *critic.parameters()], lr=0.1)
    x = torch.randn(4, 2)
    with GradientFlow(actor=actor, critic=critic, trace=trace) as flow:
        actions = actor(x)  # where a stop would stand
        loss = critic(torch.cat((x, actions.detach() if stopped else actions), -1)).mean()
        update_critic(loss)
        optimizer.step()
    flow.loss = loss
    return flow


def test_assertions_that_hold():
    flow = audit()
    flow.assert_moved("critic")
    flow.assert_moved(only="critic")
    flow.assert_untouched("actor")
    flow.assert_reached("critic")
    flow.assert_reached("critic", by="update_critic")
    flow.assert_reached("critic", by=flow.loss)
    both = audit(stopped=False)
    both.assert_moved(only=["actor", "critic"])
    both.assert_moved("actor", "critic")


@pytest.mark.parametrize(
    ("stopped", "check", "message"),
    [
        (False, lambda flow: flow.assert_moved(only="critic"), "a step moved actor, and only critic should"),
        (True, lambda flow: flow.assert_moved("actor"), "no step moved actor"),
        (True, lambda flow: flow.assert_moved(only=["actor", "critic"]), "no step moved actor"),
        (False, lambda flow: flow.assert_untouched("actor"), r"SGD at .*test_flow\.py:\d+ moved actor"),
        (True, lambda flow: flow.assert_reached("actor"), "no backward pass reached actor"),
        (True, lambda flow: flow.assert_reached("critic", by="nobody"), "no backward pass called in nobody"),
        (True, lambda flow: flow.assert_reached("actor", by="update_critic"), "called in update_critic reached actor"),
        (True, lambda flow: flow.assert_reached("critic", by=torch.ones(1)), "no backward pass of this loss"),
    ],
)
def test_assertions_that_fail_carry_the_report(stopped, check, message):
    flow = audit(stopped)
    with pytest.raises(AssertionError, match=message) as error:
        check(flow)
    assert str(flow) in str(error.value)


def test_a_failed_assertion_names_the_crossing_line():
    flow = audit(stopped=False)
    with pytest.raises(AssertionError) as error:
        flow.assert_moved(only="critic")
    line = flow.backwards[0].crossings["actor"][0].place.line
    assert re.search(
        rf"actor entered the loss of .* at .*test_flow\.py:{line}: Mean ← critic ← Cat ← actor", str(error.value)
    )


def test_a_write_outside_any_step_is_no_step_and_not_untouched():
    model = nn.Linear(1, 1)
    with GradientFlow(model=model) as flow:
        model.weight.data.add_(1)
    with pytest.raises(AssertionError, match="no step moved model"):
        flow.assert_moved("model")
    with pytest.raises(AssertionError, match="model was written to outside any optimizer's step"):
        flow.assert_untouched("model")


def test_modules_by_keyword_by_dict_or_both():
    one, two = nn.Linear(1, 1), nn.Linear(1, 1)
    assert GradientFlow(nn.ModuleDict({"one": one}))
    with GradientFlow({"trace": one}, two=two) as flow:
        (one(torch.ones(1)) + two(torch.ones(1))).sum().backward()
    assert flow.backwards[0].reached.keys() == {"trace", "two"}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GradientFlow({}), TypeError, "nothing to look at: name one module or more, or none"),
        (lambda: GradientFlow([nn.Linear(1, 1)]), TypeError, "a list gives modules no names"),
        (lambda: GradientFlow(alpha=1.0), TypeError, "alpha: a float is neither a torch.nn.Module nor a tensor"),
        (
            lambda: GradientFlow(alpha=torch.ones(1, requires_grad=True).exp()),
            ValueError,
            "alpha is computed from other",
        ),
        (lambda: GradientFlow(net=nn.Linear(1, 1), frozen="trunk"), ValueError, "trunk: .*no such module; it has net"),
        (lambda: GradientFlow(net=nn.Linear(1, 1), least_cost=2), ValueError, "least_cost=2: a share of a pass"),
        (lambda: GradientFlow(net=nn.Linear(1, 1), shared="trunk"), ValueError, "trunk: .*no such module; it has net"),
        (lambda: audit().assert_moved("actr"), ValueError, "actr: .*no such module; it has actor, critic"),
        (lambda: audit(trace=False).mermaid(), ValueError, r"needs GradientFlow\(…, trace=True\)"),
        (lambda: audit().figure(by="nobody"), ValueError, "no backward pass called in nobody to draw"),
    ],
)
def test_mistakes_get_a_sentence(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_module_may_have_the_name_of_an_argument():
    with GradientFlow(trace=nn.Linear(1, 1), shared=nn.Linear(1, 1), frozen=nn.Linear(1, 1)) as flow:
        pass
    assert flow._record.names == ["trace", "shared", "frozen"]
    assert flow._record.tracer is None


def test_an_audit_records_once():
    flow = audit()
    with pytest.raises(RuntimeError, match="make a new GradientFlow"), flow:
        pass


def test_results_can_be_read_inside():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientFlow(model=model, trace=True) as flow:
        model(torch.ones(1)).sum().backward()
        assert [each.kind for each in flow.findings()] == ["waste"]  # nothing has applied it so far
        optimizer.step()
        assert not flow.findings()
        assert "by 1 moved by the gradient of loss 1" in str(flow)
        flow.assert_moved(only="model")
