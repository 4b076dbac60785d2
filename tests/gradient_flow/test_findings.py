"""The gallery: every fault is found and named at its line, and no mended twin gives a finding."""

import copy
import inspect
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from gallery import CASES, due, table
from torch import nn

from ddpg.gradient_flow import GradientFlow

KINDS = {"leak", "stale_gradient", "dead_link", "drift", "waste", "tracked_target"}
ONLY_TRACED = {"target_detached_behind"}  # nothing of that graph is left when the loss is sent backward


def found(findings):
    return {(each.kind, module, each.line) for each in findings for module in each.modules}


def test_the_gallery_is_what_it_says():
    assert len(CASES) >= 16
    assert {kind for case in CASES for kind, _, _ in due(case.faulty)} == KINDS
    assert all(due(case.faulty) for case in CASES)
    assert not any(due(case.mended) for case in CASES)


def test_the_documentation_shows_it():
    page = Path(__file__).parents[2] / "docs" / "audit.md"
    assert table() in page.read_text(), "python tests/gradient_flow/gallery.py prints the table anew"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_found_at_its_line(case):
    flow = case.faulty(partial(GradientFlow, trace=True))
    assert found(flow.findings()) == due(case.faulty)
    assert {each.file for each in flow.findings()} == {inspect.getsourcefile(inspect.unwrap(case.faulty))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mended_twin_gives_no_finding(case):
    for trace in (True, False):
        assert not case.mended(partial(GradientFlow, trace=trace)).findings()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_tracing_the_same_is_found_at_the_line_of_the_backward_pass(case):
    flow = case.faulty(GradientFlow)
    backward_lines = {each.line for each in flow.backwards}
    expected = {mark for mark in due(case.faulty) if case.name not in ONLY_TRACED}
    assert {mark[:2] for mark in found(flow.findings())} == {mark[:2] for mark in expected}
    for finding in flow.findings():
        if finding.kind in ("leak", "tracked_target", "waste"):
            assert finding.line in backward_lines


def test_a_message_says_where_and_how_to_mend_it():
    case = next(case for case in CASES if case.name == "td_target_through_the_online_actor")
    (leak,) = case.faulty(partial(GradientFlow, trace=True)).findings()
    assert leak.modules == ("actor",)
    assert re.search(rf"gallery\.py:{leak.line}: actor\(…\)\.detach\(\)", leak.message)
    assert str(leak).startswith("leak: actor is trained by the loss at ")


def two_modules():
    torch.manual_seed(0)
    return nn.Linear(3, 4), nn.Sequential(nn.Tanh(), nn.Linear(4, 1))


def train(modules, between=lambda step: None, steps=4, loss=lambda y: y.square().mean()):
    """One optimizer over several modules, which is sound; `between` the steps something else happens."""
    optimizer = torch.optim.SGD([each for module in modules for each in module.parameters()], lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        x = torch.randn(5, 3)
        for module in modules:
            x = module(x)
        loss(x).backward()
        optimizer.step()
        between(step)


def test_a_start_from_given_weights_is_no_target_network():
    body, head = two_modules()
    given = copy.deepcopy(body)
    nn.init.normal_(given.weight)
    with GradientFlow(body=body, head=head, given=given) as flow:
        body.load_state_dict(given.state_dict())
        train([body, head])
    assert not flow.findings()


def test_a_return_to_the_best_weights_is_no_target_network():
    body, head = two_modules()
    best = copy.deepcopy(body).requires_grad_(False)
    with GradientFlow(body=body, head=head, best=best) as flow:
        train([body, head], lambda step: body.load_state_dict(best.state_dict()) if step == 2 else None)
    assert not flow.findings()


def test_a_scalar_that_is_clamped_is_no_copy_of_another():
    body, head = two_modules()
    scale = nn.ParameterList([nn.Parameter(torch.ones(1))])
    head.append(Scale(scale[0]))
    with GradientFlow(body=body, head=head, scale=scale) as flow:
        train([body, head], lambda step: scale[0].data.clamp_(0.1, 0.9))
    assert not flow.findings()


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def test_training_scalars_by_hand_is_no_waste():
    parameters = nn.ParameterList([nn.Parameter(torch.tensor(float(value))) for value in range(3)])
    with GradientFlow(polynomial=parameters) as flow:
        for _ in range(3):
            a, b, c = parameters
            (a + b * 2 + c * 4 - 3).square().backward()
            with torch.no_grad():
                for each in parameters:
                    each -= 0.01 * each.grad
                    each.grad = None
    assert not flow.findings()


def test_new_data_that_requires_a_gradient_is_no_new_loss():
    body, head = two_modules()
    first, second = (torch.optim.SGD(each.parameters(), lr=0.1) for each in (body, head))
    with GradientFlow(body=body, head=head) as flow:
        for _ in range(3):
            body.zero_grad()
            for _ in range(2):  # the head steps after every half of the batch, the body after both
                x = torch.randn(5, 3).requires_grad_()
                head.zero_grad()
                head(body(x)).mean().backward()
                second.step()
            first.step()
    assert not flow.findings()
    assert len(str(flow).splitlines()) < 10


def test_an_optimizer_made_anew_for_every_step_is_one_finding():
    body, head = two_modules()
    with GradientFlow(body=body, head=head) as flow:
        for _ in range(3):
            head.zero_grad()
            head(body(torch.randn(5, 3)).detach()).mean().backward()
            torch.optim.SGD(head.parameters(), lr=0.1).step()
            torch.optim.SGD(body.parameters(), lr=0.1).step()
    assert [each.kind for each in flow.findings()] == ["dead_link"]


def test_waste_offers_a_stop_only_where_nothing_trained_lies_behind():
    body, head = two_modules()
    optimizer = torch.optim.SGD(body.parameters(), lr=0.1)
    others = torch.optim.SGD(head.parameters(), lr=0.1)
    with GradientFlow(body=body, head=head) as flow:
        head(body(torch.randn(5, 3))).mean().backward()
        optimizer.step()
    (finding,) = flow.findings()
    assert finding.modules == ("head",)
    assert "stop it at" not in finding.message
    with GradientFlow(body=body, head=head) as flow:
        head.zero_grad()
        body.zero_grad()
        head(body(torch.randn(5, 3))).mean().backward()
        others.step()
    (finding,) = flow.findings()
    assert finding.modules == ("body",)
    assert "stop it at" in finding.message


def test_what_is_held_at_a_rate_of_zero_is_not_moved_and_no_leak():
    body, head = two_modules()
    own = torch.optim.SGD(body.parameters(), lr=0.1)
    both = torch.optim.SGD([{"params": head.parameters()}, {"params": body.parameters(), "lr": 0.0}], lr=0.1)
    with GradientFlow(body=body, head=head) as flow:
        for loss, optimizer in (
            (head(body(torch.randn(5, 3))).mean(), both),
            (body(torch.ones(1, 3)).exp().sum(), own),
        ):
            both.zero_grad()
            loss.backward()
            optimizer.step()
    assert set(flow.steps[0].moved) == {"head"}
    assert "leak" not in {each.kind for each in flow.findings()}


@pytest.mark.parametrize("steps", [(2, 4), (4, 2), (3, 3)])
def test_pretraining_by_one_optimizer_and_training_by_another_is_no_leak(steps):
    """Two losses that take turns look the same while each has had but two steps."""
    body, head = two_modules()
    probe = nn.Linear(4, 2)
    with GradientFlow(body=body, head=head, probe=probe) as flow:
        train([body, probe], steps=steps[0], loss=lambda y: y.exp().mean())
        train([body, head], steps=steps[1])
    assert [each.kind for each in flow.findings()] == ["leak"] * (min(steps) < 3)


def test_a_start_from_weights_trained_before_is_no_target_network():
    body, head = two_modules()
    teacher, probe = copy.deepcopy(body), nn.Linear(4, 2)
    with GradientFlow(body=body, head=head, teacher=teacher, probe=probe) as flow:
        train([teacher, probe])
        body.load_state_dict(teacher.state_dict())
        train([body, head])
    assert not flow.findings()


def test_another_losss_gradient_from_before_another_optimizers_step_is_stale():
    body, head = two_modules()
    first, second = (torch.optim.SGD(each.parameters(), lr=0.1) for each in (body, head))
    with GradientFlow(body=body, head=head) as flow:
        head(body(torch.randn(5, 3))).exp().mean().backward()
        first.step()
        head(body(torch.randn(5, 3)).detach()).square().mean().backward()
        second.step()
    (finding,) = flow.findings()
    assert (finding.kind, finding.modules, finding.line) == ("stale_gradient", ("head",), flow.steps[1].line)
    assert " times)" not in finding.message  # it was once


def test_an_optimizer_that_moves_without_any_gradient_does_not_drift():
    class Perturbs(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure=None):
            for each in self.param_groups[0]["params"]:
                each += 0.1

    body, _ = two_modules()
    with GradientFlow(body=body) as flow:
        Perturbs(body.parameters(), {}).step()
    assert set(flow.steps[0].moved) == {"body"}
    assert "drift" not in {each.kind for each in flow.findings()}


WIDTHS = [2, 8, 64]


def leaks(flow):
    return [(each.modules, each.line) for each in flow.findings() if each.kind == "leak"]


@pytest.mark.parametrize("width", WIDTHS)
def test_blame_does_not_hang_on_sizes_where_the_gradient_passes_through(width):
    """Twin critics in one optimizer; the actor's holds one of them too."""
    torch.manual_seed(0)
    actor = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1))
    one, other = nn.Linear(4, 1), nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))
    critic_optimizer = torch.optim.SGD([*one.parameters(), *other.parameters()], lr=0.1)
    actor_optimizer = torch.optim.SGD([*actor.parameters(), *one.parameters()], lr=0.1)
    with GradientFlow(actor=actor, one=one, other=other, trace=True) as flow:
        for _ in range(3):
            x = torch.randn(5, 3)
            critic_optimizer.zero_grad()
            pair = torch.cat((x, torch.randn(5, 1)), -1)
            (one(pair).square().mean() + other(pair).square().mean()).backward()
            critic_optimizer.step()
            actor_optimizer.zero_grad()
            value = one(torch.cat((x, actor(x)), -1))
            (-value).mean().backward()
            actor_optimizer.step()
    place = flow.backwards[1].crossings["one"][0].place
    assert leaks(flow) == [(("one",), place.line)]
    message = next(each.message for each in flow.findings() if each.kind == "leak")
    assert "a stop there would end the training of what lies behind" in message
    assert ".detach()" not in message


@pytest.mark.parametrize("width", WIDTHS)
def test_blame_goes_to_the_loss_that_comes_by_another_module(width):
    """An encoder trained by the critic's loss; the actor's optimizer holds it too."""
    torch.manual_seed(0)
    encoder, critic = nn.Linear(3, 4), nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 1))
    actor = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 1))
    critic_optimizer = torch.optim.SGD([*encoder.parameters(), *critic.parameters()], lr=0.1)
    actor_optimizer = torch.optim.SGD([*actor.parameters(), *encoder.parameters()], lr=0.1)
    with GradientFlow(encoder=encoder, actor=actor, critic=critic, trace=True) as flow:
        for _ in range(3):
            x = torch.randn(5, 3)
            critic_optimizer.zero_grad()
            critic(torch.cat((encoder(x), torch.randn(5, 1)), -1)).square().mean().backward()
            critic_optimizer.step()
            actor_optimizer.zero_grad()
            features = encoder(x)
            (-critic(torch.cat((features, actor(features)), -1))).mean().backward()
            actor_optimizer.step()
    assert leaks(flow) == [(("encoder",), flow.backwards[1].crossings["encoder"][0].place.line)]


def test_a_leak_of_a_part_names_the_part():
    trunk = nn.Linear(3, 4)
    one, two = nn.Sequential(trunk, nn.Linear(4, 1)), nn.Sequential(trunk, nn.Linear(4, 2))
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (one, two)]
    with GradientFlow(one=one, two=two) as flow:
        for _ in range(3):
            for module, optimizer in zip((one, two), optimizers, strict=True):
                optimizer.zero_grad()
                module(torch.randn(5, 3)).square().mean().backward()
                optimizer.step()
    (finding,) = flow.findings()
    assert finding.modules == ("one", "two")
    assert finding.message.startswith("one.0 (of one and two) is trained by the loss at ")


def test_an_optimizer_of_an_older_copy_holds_nothing():
    body, _ = two_modules()
    optimizer = torch.optim.SGD(body.parameters(), lr=0.1)
    body = copy.deepcopy(body)
    with GradientFlow(body=body) as flow:
        for _ in range(2):
            optimizer.zero_grad()
            body(torch.randn(5, 3)).mean().backward()
            optimizer.step()
    (dead,) = (each for each in flow.findings() if each.kind == "dead_link")
    assert dead.modules == ()
    assert "none of the audited modules' parameters" in dead.message


def test_waste_says_why_nothing_was_applied():
    body, head = two_modules()
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
    with GradientFlow(body=body) as flow:
        head(body(torch.randn(5, 3))).mean().backward()
        optimizer.zero_grad()
        optimizer.step()
    assert "holds it, but it was cleared before that step: zero_grad()" in flow.findings()[0].message
    assert "held, cleared" in str(flow)
    with GradientFlow(body=body) as flow:
        head(body(torch.randn(5, 3))).mean().backward()
    assert "No step has followed." in flow.findings()[0].message
    assert "held, cleared" not in str(flow)


def test_a_module_called_with_other_weights_does_not_enter_there():
    encoder = nn.Linear(3, 4)
    frozen = {name: each.detach() for name, each in encoder.named_parameters()}
    with GradientFlow(encoder=encoder, trace=True) as flow:
        x = torch.randn(5, 3).requires_grad_()
        other = torch.func.functional_call(encoder, frozen, (x,))
        own = encoder(x)
        (other + own).sum().backward()
    (crossing,) = flow.backwards[0].crossings["encoder"]
    assert crossing.place.line == flow.backwards[0].line - 1
