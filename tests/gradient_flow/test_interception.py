"""Audits see their own thread, and leave everything as it was."""

import linecache
import threading

import pytest
import torch
from torch import nn
from torch.optim import optimizer as optimizers

from ddpg.gradient_flow import GradientFlow


def state():
    return (
        torch.autograd._engine_run_backward,
        nn.Module.__call__,
        dict(optimizers._global_optimizer_pre_hooks),
        dict(optimizers._global_optimizer_post_hooks),
        torch.overrides._len_torch_function_stack() if hasattr(torch.overrides, "_len_torch_function_stack") else 0,
    )


def train(model, steps=1):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(1, 1)).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("trace", [False, True])
def test_all_is_as_it_was_after_leaving(trace):
    model = nn.Linear(1, 1)
    before = state()
    with GradientFlow(model=model, trace=trace) as flow:
        train(model)
    assert state() == before
    train(model)
    assert len(flow.steps) == len(flow.backwards) == 1
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
    assert not any(each._backward_hooks for each in model.parameters())


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("where", ["body", "forward", "backward", "step"])
def test_all_is_as_it_was_after_an_error(trace, where):
    class Fails(nn.Module):
        def forward(self, x):
            if where == "forward":
                raise RuntimeError("mine")
            return x

    def fail(*args):
        raise RuntimeError("mine")

    model = nn.Sequential(nn.Linear(1, 1), Fails())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = state()
    with pytest.raises(RuntimeError, match="mine"), GradientFlow(model=model, trace=trace) as flow:  # noqa: PT012
        loss = model(torch.ones(1, 1)).sum()
        if where == "backward":
            loss.register_hook(fail)
        loss.backward()
        if where == "step":
            optimizer.register_step_pre_hook(fail)
        optimizer.step()
        if where == "body":
            fail()
    assert state() == before
    assert len(flow.steps) == (where == "body")
    assert str(flow)


@pytest.mark.parametrize("trace", [False, True])
def test_nested_audits_see_what_is_theirs(trace):
    one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    with GradientFlow(one=one, trace=trace) as outer:
        train(one)
        with GradientFlow(one=one, other=other, trace=not trace) as inner:
            train(one)
            train(other)
        train(one)
    assert [len(flow.backwards) for flow in (outer, inner)] == [4, 2]
    assert [set(step.moved) for step in inner.steps] == [{"one"}, {"other"}]
    assert [set(step.moved) for step in outer.steps] == [{"one"}, {"one"}, set(), {"one"}]
    assert not outer.findings() and not inner.findings()


def test_two_threads_each_with_its_own_and_one_without():
    flows, ready = {}, threading.Barrier(3)

    def work(name, steps, audited):
        model = nn.Linear(1, 1)
        ready.wait()
        if not audited:
            train(model, steps)
            return
        with GradientFlow(model=model, trace=True) as flow:
            train(model, steps)
        flows[name] = flow

    before = state()
    threads = [
        threading.Thread(target=work, args=arguments)
        for arguments in (("a", 20, True), ("b", 30, True), ("c", 25, False))
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {name: (len(flow.backwards), len(flow.steps)) for name, flow in flows.items()} == {
        "a": (20, 20),
        "b": (30, 30),
    }
    assert not any(flow.findings() for flow in flows.values())
    assert state() == before


@pytest.fixture(scope="module")
def compiled_backend():
    """Dynamo and autograd at work, without the minutes that generating code takes."""
    torch._dynamo.reset()
    yield "aot_eager"
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Guards may run slower")  # of Python 3.13.0
@pytest.mark.parametrize("named", ["original", "compiled", "in place", "function"])
def test_compiled_modules(compiled_backend, named):
    class Critic(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, observations, actions):
            return self.layer(torch.cat((observations, actions), -1))

    actor, critic = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)), Critic()
    if named == "in place":
        actor.compile(backend=compiled_backend)
        policy = actor
    else:
        policy = torch.compile(actor, backend=compiled_backend, fullgraph=True)
    if named == "function":
        policy = torch.compile(lambda x: actor(x), backend=compiled_backend, fullgraph=True)
    optimizer, _others = torch.optim.Adam(actor.parameters()), torch.optim.Adam(critic.parameters())
    with GradientFlow(actor=policy if named == "compiled" else actor, critic=critic, trace=True) as flow:
        for _ in range(2):
            observations = torch.randn(3, 1)
            actions = policy(observations)
            loss = -critic(observations, actions).mean()
            optimizer.zero_grad()
            loss.backward(inputs=list(actor.parameters()))
            norm = torch.cat([each.grad.flatten() for each in actor.parameters()]).norm().item()
            optimizer.step()
    assert len(flow.backwards) == len(flow.steps) == 2
    assert flow.backwards[-1].reached == {"actor": pytest.approx(norm)}
    assert set(flow.steps[-1].moved) == {"actor"}
    assert flow.backwards[-1].parameters["actor"] == (
        "actor.0.weight",
        "actor.0.bias",
        "actor.2.weight",
        "actor.2.bias",
    )
    assert not flow.findings()
    (crossing,) = flow.backwards[-1].crossings["actor"]
    lines = {"function": "loss = -critic"}.get(named, "actions = policy")
    assert lines in linecache.getline(crossing.place.file, crossing.place.line)
    unaudited = policy(torch.randn(3, 1)).sum()  # what was compiled inside the audit works outside
    unaudited.backward()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Guards may run slower")  # of Python 3.13.0
def test_a_compiled_step(compiled_backend):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = torch.compile(optimizer.step, backend="eager")
    with GradientFlow(model=model) as flow:
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.ones(1, 1)).sum().backward()
            step()
    assert [set(each.moved) for each in flow.steps] == [{"model"}] * 2
    assert not flow.findings()


@pytest.mark.parametrize("trace", [False, True])
def test_recursion_to_its_limit_is_the_error_it_was(trace):
    class Deep(nn.Module):
        def forward(self, x):
            return self(x)

    model = nn.Linear(1, 1)
    before = state()
    with GradientFlow(model=model, trace=trace) as flow:
        for _ in range(20):
            with pytest.raises(RecursionError):
                Deep()(torch.ones(1, 1))
            assert torch.is_grad_enabled()
        train(model)
    assert state() == before
    assert len(flow.steps) == 1
    if trace:
        assert flow.backwards[0].crossings["model"][0].place.function == "train"


def test_without_tracing_calls_of_modules_are_not_touched():
    call = nn.Module.__call__
    with GradientFlow(model=nn.Linear(1, 1)):
        assert nn.Module.__call__ is call


def test_an_audit_may_be_closed_inside_a_forward_and_beside_other_modes():
    flows = []

    class Closes(nn.Module):
        def forward(self, x):
            flows.pop().__exit__(None, None, None)
            return x

    before = state()
    flows.append(GradientFlow(model=nn.Linear(1, 1), trace=True).__enter__())
    Closes()(torch.ones(1))
    assert state() == before
    flow = GradientFlow(model=nn.Linear(1, 1), trace=True).__enter__()
    with torch.device("meta"):
        flow.__exit__(None, None, None)
        assert torch.ones(1).device.type == "meta"
    assert torch.ones(1).device.type == "cpu"
    assert state() == before


def test_an_audit_opened_inside_a_pass_sees_its_own():
    one, inner = nn.Linear(1, 1), []

    def hook(gradient):
        with GradientFlow(one=one) as flow, torch.enable_grad():
            train(one)
        inner.append(flow)

    with GradientFlow(one=one) as outer:
        loss = one(torch.ones(1, 1)).sum()
        loss.register_hook(hook)
        loss.backward()
    (flow,) = inner
    assert len(flow.backwards) == len(flow.steps) == 1
    assert flow.steps[0].sources == {"one": (flow.backwards[0],)}
    assert len(outer.backwards) == 1
